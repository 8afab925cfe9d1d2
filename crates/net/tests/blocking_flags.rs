//! `O_NONBLOCK` belongs to the open file description: what a child or another program shares with a
//! stream must find it as it was.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use squall_executor::AsyncFd;
use squall_net::{IoStream, PipeReader, PipeWriter, block_on, pipe, timeout};

const WATCHDOG: Duration = Duration::from_secs(20);

#[allow(unsafe_code, reason = "std has no name for F_GETFL")]
fn is_nonblocking(fd: impl AsFd) -> bool {
    // SAFETY: F_GETFL takes no argument.
    let flags = unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_GETFL) };
    assert!(flags >= 0, "{}", io::Error::last_os_error());
    flags & libc::O_NONBLOCK != 0
}

/// A blocking pipe, as a shell would make it.
fn blocking_pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = io::pipe().unwrap();
    (reader.into(), writer.into())
}

// R12
#[test]
fn a_child_writes_all_into_a_pipe_that_is_read_slowly() {
    block_on(async {
        let (reader, writer) = pipe().unwrap();
        let output = Stdio::from(writer.into_fd().unwrap());
        let mut child = Command::new("seq").args(["1", "200000"]).stdout(output).spawn().unwrap();
        thread::sleep(Duration::from_millis(50)); // the pipe is full
        let read = IoStream::new(reader).read_until_close().await.unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(read.len(), 1_288_895);
        assert!(read.ends_with(b"\n200000\n"));
    });
}

#[test]
fn the_ends_of_a_pipe_are_given_back_blocking_or_as_they_are() {
    let (reader, writer) = pipe().unwrap();
    assert!(is_nonblocking(&reader) && is_nonblocking(writer.fd().unwrap()));
    assert!(!is_nonblocking(reader.into_fd()));
    assert!(!is_nonblocking(writer.into_fd().unwrap()));
    let (reader, writer) = pipe().unwrap();
    assert!(is_nonblocking(reader.into_nonblocking_fd()));
    assert!(is_nonblocking(writer.into_nonblocking_fd().unwrap()));
}

// R12
#[test]
fn a_shared_description_is_blocking_again_after_the_drop() {
    let (reader, writer) = blocking_pipe();
    let (read_end, write_end) = (reader.try_clone().unwrap(), writer.try_clone().unwrap());
    let stream = (PipeReader::from_fd(read_end).unwrap(), PipeWriter::from_fd(write_end).unwrap());
    assert!(is_nonblocking(&reader) && is_nonblocking(&writer));
    drop(stream);
    assert!(!is_nonblocking(&reader) && !is_nonblocking(&writer));

    let taken = AsyncFd::new(File::from(reader.try_clone().unwrap())).unwrap();
    assert!(is_nonblocking(&reader));
    assert!(!is_nonblocking(taken.into_inner()), "given back");
    // What was non-blocking before stays so.
    let taken = PipeReader::from_fd(reader.try_clone().unwrap()).unwrap().into_nonblocking_fd();
    drop(PipeReader::from_fd(taken).unwrap());
    assert!(is_nonblocking(&reader));
}

#[test]
fn a_description_that_two_streams_share_stays_non_blocking_until_both_are_gone() {
    let (reader, mut writer) = blocking_pipe();
    let first = PipeReader::from_fd(reader.try_clone().unwrap()).unwrap();
    let second = PipeReader::from_fd(reader.try_clone().unwrap()).unwrap();
    drop(first);
    assert!(is_nonblocking(&reader));
    block_on(async {
        let mut second = IoStream::new(second);
        let read = timeout(Duration::from_millis(1), second.read_until(b"\n")).await;
        assert!(read.is_err(), "it waits, and the loop goes on");
        File::from(writer.try_clone().unwrap()).write_all(b"hello\n").unwrap();
        let line = timeout(WATCHDOG, second.read_until(b"\n")).await.unwrap();
        assert_eq!(line.unwrap(), "hello\n");
    });
    assert!(!is_nonblocking(&reader), "both are gone");
    // The two ends of a pipe are one file, but two descriptions.
    let other_end = PipeWriter::from_fd(writer.try_clone().unwrap()).unwrap();
    let this_end = PipeReader::from_fd(reader.try_clone().unwrap()).unwrap();
    drop(other_end);
    drop(this_end);
    assert!(!is_nonblocking(&reader) && !is_nonblocking(&writer));
    writer = PipeWriter::from_fd(writer).unwrap().into_fd().unwrap();
    drop(writer);
    assert_eq!(File::from(reader).read(&mut [0]).unwrap(), 0, "no duplicate is left open");
}

#[test]
fn the_drop_of_a_writer_is_the_end_for_a_reader_of_the_same_pipe() {
    block_on(async {
        let (reader, writer) = blocking_pipe();
        let reader = PipeReader::from_fd(reader).unwrap();
        drop(PipeWriter::from_fd(writer).unwrap());
        let mut reader = IoStream::new(reader);
        let read = timeout(WATCHDOG, reader.read_until_close()).await.expect("no end");
        assert_eq!(read.unwrap(), "");
    });
}

#[test]
fn descriptors_of_unrelated_files_are_closed_when_they_are_dropped() {
    #[allow(unsafe_code, reason = "std makes no eventfd")]
    let event = || {
        // SAFETY: the call takes integers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: the descriptor was just made, and has no other owner.
        unsafe { OwnedFd::from_raw_fd(fd) }
    };
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let _kept = AsyncFd::new(event()).unwrap();
    let before = open();
    for _ in 0..50 {
        drop(AsyncFd::new(event()).unwrap());
    }
    assert!(open() < before + 25, "{} descriptors, {before} before", open());
}

#[test]
fn a_socket_stays_non_blocking_for_its_other_users() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(AsyncFd::new(ours.try_clone().unwrap()).unwrap());
    assert!(is_nonblocking(&ours));
    drop(theirs);
}
