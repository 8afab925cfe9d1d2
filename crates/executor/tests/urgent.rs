//! R19: bytes behind TCP's urgent mark, for which epoll reports no new edge.

#![allow(unsafe_code, reason = "send(2) with MSG_OOB has no safe wrapper in std")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use squall_executor::{AsyncFd, EventLoop};

// R19
#[test]
fn bytes_behind_an_urgent_mark_are_read_although_each_read_is_short() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    let event_loop = EventLoop::new().unwrap();
    let read = async {
        let ours = AsyncFd::new(ours).unwrap();
        let mut all = Vec::new();
        let mut sent = false;
        while all.len() < 6 {
            let read = ours.read_with(|mut ours| {
                let mut buffer = [0; 64];
                ours.read(&mut buffer).map(|n| buffer[..n].to_vec())
            });
            if !sent {
                // The first read registers and waits; then all bytes come at once.
                squall_executor::add_callback({
                    let mut peer = peer.try_clone().unwrap();
                    move || {
                        peer.write_all(b"abc").unwrap();
                        // SAFETY: one byte from a live buffer, on a descriptor that is open.
                        let urgent = unsafe {
                            libc::send(peer.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB)
                        };
                        assert_eq!(urgent, 1);
                        peer.write_all(b"def").unwrap();
                    }
                });
                sent = true;
            }
            all.extend(read.await.unwrap());
            ours.note_drained(); // the read was short
        }
        all
    };
    let all = event_loop.run_sync(read, Some(Duration::from_secs(10))).expect("bytes are stuck");
    assert_eq!(all, b"abcdef");
}
