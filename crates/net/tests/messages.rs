//! Descriptors that are sent over Unix sockets, in processes that count their open descriptors.

#![allow(unsafe_code, reason = "options and limits for which std has no names")]

mod watched;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use squall_net::{UnixStream, block_on};
use watched::{Watched, say};

/// `SO_PASSPIDFD`, for which libc has no name.
const SO_PASSPIDFD: i32 = 76;

fn main() {
    let tests: [(&str, fn()); 3] = [
        // R19
        ("an_unrequested_pidfd_is_closed_and_leaves_room_for_253_descriptors", || passes("pidfd")),
        // R19
        ("if_the_kernel_drops_some_descriptors_the_others_are_closed", || passes("truncated")),
        ("an_empty_buffer_is_refused_and_takes_no_descriptors", || passes("empty")),
    ];
    watched::run(program, &tests);
}

fn passes(name: &str) {
    let mut process = Watched::start(name);
    assert_eq!(process.rest(), ["done"]);
    assert!(process.end().success());
}

/// The programs that the tests start.
fn program(name: &str) {
    block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        let most = vec![file.as_fd(); 253];
        let mut byte = [0];
        match name {
            "pidfd" => {
                set(&b, libc::SO_PASSCRED).unwrap();
                if set(&b, SO_PASSPIDFD).is_err() {
                    eprintln!("skipped: this kernel passes no pidfd of the sender");
                }
                let before = descriptors();
                for _ in 0..20 {
                    a.send_with_fds(b"x", &[]).await.unwrap();
                    let (_, fds) = b.recv_with_fds(&mut byte).await.unwrap();
                    assert_eq!((fds.len(), descriptors()), (0, before));
                }
                a.send_with_fds(b"x", &most).await.unwrap();
                let (_, fds) = b.recv_with_fds(&mut byte).await.unwrap();
                assert_eq!((fds.len(), descriptors()), (253, before + 253));
            }
            "truncated" => {
                let before = descriptors();
                limit(before + 20);
                a.send_with_fds(b"x", &most).await.unwrap();
                let error = b.recv_with_fds(&mut byte).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidData);
                assert_eq!(descriptors(), before);
                a.send_with_fds(b"y", &most[..2]).await.unwrap();
                assert_eq!(b.recv_with_fds(&mut byte).await.unwrap().1.len(), 2);
            }
            "empty" => {
                a.send_with_fds(b"x", &most[..2]).await.unwrap();
                let error = b.recv_with_fds(&mut []).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
                assert_eq!(b.recv_with_fds(&mut byte).await.unwrap().1.len(), 2);
            }
            name => panic!("no program {name}"),
        }
    });
    say("done");
}

/// Counts the open descriptors of this process.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn set(stream: &UnixStream, option: i32) -> io::Result<()> {
    let on: i32 = 1;
    let (fd, level) = (stream.as_fd().as_raw_fd(), libc::SOL_SOCKET);
    // SAFETY: the kernel reads an int from a live int.
    match unsafe { libc::setsockopt(fd, level, option, (&raw const on).cast(), 4) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Limits this process to `descriptors` open descriptors.
fn limit(descriptors: usize) {
    let limit = libc::rlim_t::try_from(descriptors).unwrap();
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the kernel reads a live `rlimit`.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}
