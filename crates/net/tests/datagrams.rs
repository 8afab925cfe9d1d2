//! Datagrams that are truncated, and Unix sockets for datagrams.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use squall_net::executor::fault::{self, Call};
use squall_net::{Clock, EventLoop, UdpSocket, UnixDatagram, block_on, spawn, timeout, yield_now};

const WATCHDOG: Duration = Duration::from_secs(10);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

/// A path for one socket. Dropping it removes the socket.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        Place(std::env::temp_dir().join(format!("squall-{}-{name}", std::process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The lengths of a datagram and of a buffer, what is received, and whether it is truncated.
const CASES: [(usize, usize, usize, bool); 6] = [
    (5, 4, 4, true),
    (5, 5, 5, false),
    (5, 6, 5, false),
    (1, 0, 0, true),
    (0, 0, 0, false),
    (3000, 10, 10, true),
];

#[test]
fn a_datagram_is_truncated_if_it_is_longer_than_the_buffer() {
    run(async {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (here, there) = UnixDatagram::pair().unwrap();
        for (sent, room, received, is_truncated) in CASES {
            client.send_to(&vec![7; sent], server.local_addr().unwrap()).await.unwrap();
            let mut buffer = vec![0; room];
            let datagram = server.recv_datagram(&mut buffer).await.unwrap();
            assert_eq!((datagram.len, datagram.is_truncated), (received, is_truncated), "{sent}");
            assert_eq!(datagram.sender, client.local_addr().unwrap());
            assert_eq!(buffer[..received], vec![7; received]);

            here.send(&vec![7; sent]).await.unwrap();
            let datagram = there.recv_datagram(&mut buffer).await.unwrap();
            assert_eq!((datagram.len, datagram.is_truncated), (received, is_truncated), "{sent}");
            assert!(datagram.sender.is_unnamed());
        }
        if std::net::UdpSocket::bind("[::1]:0").is_ok() {
            let server = UdpSocket::bind("[::1]:0").unwrap();
            server.send_to(b"ping", server.local_addr().unwrap()).await.unwrap();
            let datagram = server.recv_datagram(&mut [0; 4]).await.unwrap();
            assert_eq!(datagram.sender, server.local_addr().unwrap());
        }
    });
}

#[test]
fn a_unix_datagram_has_the_address_of_its_sender() {
    run(async {
        let place = Place::new("server");
        let server = UnixDatagram::bind(&place.0).unwrap();
        let error = UnixDatagram::bind(&place.0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(server.local_addr().unwrap().as_pathname(), Some(&*place.0));
        let name = format!("\0squall-datagrams-{}", std::process::id());
        let (mut bytes, mut other) = ([0; 8], [0; 8]);

        let other_place = Place::new("client");
        for client in [&name, other_place.0.to_str().unwrap()] {
            let client = UnixDatagram::bind(client).unwrap();
            for _ in 0..2 {
                client.send_to(b"ping", &place.0).await.unwrap();
            }
            let (n, sender) = server.recv_from(&mut bytes).await.unwrap();
            assert_eq!(&bytes[..n], b"ping");
            let datagram = server.recv_datagram(&mut bytes).await.unwrap();
            let expected = client.local_addr().unwrap();
            assert_eq!(format!("{sender:?}"), format!("{expected:?}"));
            assert_eq!(format!("{:?}", datagram.sender), format!("{expected:?}"));
            server.send_to_addr(b"pong", &sender).await.unwrap();
            assert_eq!(client.recv(&mut other).await.unwrap(), 4);
        }

        let client = UnixDatagram::unbound().unwrap();
        assert_eq!(client.send(b"x").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        client.connect(&place.0).unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*place.0));
        client.send(b"ping").await.unwrap();
        let datagram = server.recv_datagram(&mut bytes).await.unwrap();
        assert!(datagram.sender.is_unnamed());
        let error = server.send_to_addr(b"pong", &datagram.sender).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);

        let error = client.send_to(b"x", Place::new("missing").0.clone()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        drop(server);
        assert_eq!(client.send(b"x").await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let error = client.send_to(b"x", &place.0).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

/// How a socket sends a datagram: it is connected, or names the receiver.
#[derive(Clone, Copy, Debug)]
enum Way {
    Send,
    SendTo,
    PollSendTo,
}

/// Fills the queue of a receiver with empty datagrams of other sockets, and returns their number.
fn fill_queue(path: &Path) -> usize {
    let mut filled = 0;
    loop {
        let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
        socket.set_nonblocking(true).unwrap();
        let before = filled;
        // Stops at the limit of the queue, or at the limit of this one sender.
        while socket.send_to(b"", path).is_ok() {
            filled += 1;
        }
        if filled == before {
            return filled;
        }
    }
}

// epoll looks at the receiver's queue only if the sender is connected. Otherwise it reports the
// sender as writable after each attempt that was refused.
#[test]
fn a_sender_waits_for_room_in_the_receivers_queue_without_a_spin() {
    for way in [Way::Send, Way::SendTo, Way::PollSendTo] {
        let place = Place::new(&format!("full-{way:?}"));
        let path = place.0.clone();
        let clock = Clock::manual();
        let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
        event_loop.block_on(async move {
            let server = UnixDatagram::bind(&path).unwrap();
            let filled = fill_queue(&path);
            let before = fault::calls(Call::Send);
            let sending = spawn(async move {
                let client = UnixDatagram::unbound().unwrap();
                if matches!(way, Way::Send) {
                    client.connect(&path).unwrap();
                }
                for byte in 0..10 {
                    let n = match way {
                        Way::Send => client.send(&[byte]).await,
                        Way::SendTo => client.send_to(&[byte], &path).await,
                        Way::PollSendTo => {
                            poll_fn(|cx| client.poll_send_to(cx, &[byte], &path)).await
                        }
                    };
                    assert_eq!(n.unwrap(), 1);
                }
            });
            for _ in 0..1000 {
                yield_now().await;
            }
            assert!(!sending.is_finished());
            if fault::ACTIVE {
                assert_eq!(fault::calls(Call::Send) - before, 1, "{way:?}: attempts");
            }
            for _ in 0..filled {
                assert_eq!(server.recv(&mut [0]).await.unwrap(), 0);
            }
            clock.advance_and_settle(Duration::from_millis(1)).await;
            let receiving = spawn(async move {
                for byte in 0..10 {
                    let mut buffer = [0];
                    let received = poll_fn(|cx| server.poll_recv_from(cx, &mut buffer)).await;
                    assert_eq!((received.unwrap().0, buffer), (1, [byte]), "{way:?}");
                }
            });
            for _ in 0..1000 {
                yield_now().await;
            }
            assert!(sending.is_finished() && receiving.is_finished(), "{way:?}: the test hangs");
            sending.await.unwrap();
            receiving.await.unwrap();
        });
    }
}

#[test]
fn sockets_for_datagrams_are_close_on_exec_and_non_blocking_and_several_tasks_may_wait() {
    run(async {
        let (std_socket, here) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let there = Rc::new(UnixDatagram::from_std(std_socket).unwrap());
        let info = format!("/proc/self/fdinfo/{}", there.as_fd().as_raw_fd());
        let text = std::fs::read_to_string(info).unwrap();
        let flags = text.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        assert_eq!(flags & libc::O_CLOEXEC, libc::O_CLOEXEC);
        assert_eq!(flags & libc::O_NONBLOCK, libc::O_NONBLOCK);
        let receive = |_| {
            let there = Rc::clone(&there);
            spawn(async move { there.recv(&mut [0; 8]).await.unwrap() })
        };
        let tasks: Vec<_> = (0..3).map(receive).collect();
        yield_now().await;
        for len in 1..4 {
            assert_eq!(here.send(&[7; 8][..len]).unwrap(), len);
        }
        for (task, len) in tasks.into_iter().zip(1..) {
            assert_eq!(task.await.unwrap(), len, "the longest waiting task comes first");
        }
        let there = Rc::into_inner(there).unwrap().into_std();
        assert_eq!(there.recv(&mut [0; 8]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    });
}
