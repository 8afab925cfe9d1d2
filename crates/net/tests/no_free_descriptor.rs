//! What is left of a call that fails because no descriptor is free. A process of its own, since the
//! limit is the process's.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use squall_net::PipeWriter;

#[test]
fn a_pipe_that_is_refused_stays_blocking() {
    let (_reader, writer) = io::pipe().unwrap();
    let shared = OwnedFd::from(writer.try_clone().unwrap());
    let limit = getrlimit(Resource::Nofile);
    // Descriptors are numbered from the lowest free one on, so none is free below the newest.
    let current = u64::try_from(shared.as_raw_fd()).unwrap() + 1;
    setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit }).unwrap();
    let refused = PipeWriter::from_fd(writer.into());
    setrlimit(Resource::Nofile, limit).unwrap();
    assert_eq!(refused.unwrap_err().raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()));
    assert!(!fcntl_getfl(&shared).unwrap().contains(OFlags::NONBLOCK));
}
