//! A task whose operations are always ready leaves time to timers and to other tasks.

use std::cell::Cell;
use std::future::{Future as _, poll_fn};
use std::io::{Read, Write};
use std::net::UdpSocket as StdUdpSocket;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt, StreamExt};
use squall_executor::future::Future;
use squall_executor::{AsyncFd, block_on, sleep, spawn, timeout};
use squall_net::{IoStream, TcpListener, UdpSocket, UnixListener, UnixStream, duplex, pipe};

/// Repeats an operation that is always ready until a timer of another task has fired.
///
/// # Panics
/// If the timer has not fired after 1,000 operations.
async fn a_timer_fires_beside(mut operation: impl AsyncFnMut()) {
    let fired = Rc::new(Cell::new(false));
    let firing = Rc::clone(&fired);
    spawn(async move {
        sleep(Duration::ZERO).await;
        firing.set(true);
    });
    for _ in 0..1000 {
        if fired.get() {
            return;
        }
        operation().await;
    }
    panic!("1,000 operations ran, and a timer that is due at once has not fired");
}

fn run(test: impl std::future::Future<Output = ()>) {
    block_on(timeout(Duration::from_secs(60), test)).expect("the test takes too long");
}

// S4
#[test]
fn a_socket_that_sends_datagrams_lets_a_timer_fire() {
    run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let nowhere = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = nowhere.local_addr().unwrap();
        a_timer_fires_beside(async || drop(socket.send_to(b"x", address).await)).await;
    });
}

// S4
#[test]
fn a_socket_that_always_has_a_datagram_lets_a_timer_fire() {
    run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let sender = StdUdpSocket::bind("127.0.0.1:0").unwrap();
        a_timer_fires_beside(async || {
            sender.send_to(b"x", address).unwrap();
            socket.recv_from(&mut [0; 8]).await.unwrap();
        })
        .await;
    });
}

// S4
#[test]
fn a_tcp_stream_that_always_has_bytes_lets_a_timer_fire() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut peer = std::net::TcpStream::connect(address).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        peer.write_all(&[7; 2000]).unwrap();
        a_timer_fires_beside(async || assert!(stream.read(&mut [0; 2]).await.unwrap() > 0)).await;
        a_timer_fires_beside(async || assert_eq!(stream.write(b"x").await.unwrap(), 1)).await;
    });
}

#[test]
fn a_task_that_talks_to_itself_lets_a_timer_fire() {
    run(async {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        a_timer_fires_beside(async || {
            here.write_all(b"x").await.unwrap();
            there.read_exact(&mut [0]).await.unwrap();
        })
        .await;
        let (mut here, mut there) = duplex(64);
        a_timer_fires_beside(async || {
            here.write_all(b"x").await.unwrap();
            there.read_exact(&mut [0]).await.unwrap();
        })
        .await;
        let (mut reader, mut writer) = pipe().unwrap();
        a_timer_fires_beside(async || {
            writer.write_all(b"x").await.unwrap();
            reader.read_exact(&mut [0]).await.unwrap();
        })
        .await;
    });
}

#[test]
fn listeners_that_always_have_a_connection_let_a_timer_fire() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        a_timer_fires_beside(async || {
            let _client = std::net::TcpStream::connect(address).unwrap();
            listener.accept().await.unwrap();
        })
        .await;
        let mut incoming = listener.incoming();
        a_timer_fires_beside(async || {
            let _client = std::net::TcpStream::connect(address).unwrap();
            incoming.next().await.unwrap().unwrap();
        })
        .await;
    });
}

#[test]
fn connects_that_succeed_at_once_let_a_timer_fire() {
    run(async {
        let path = std::env::temp_dir().join(format!("squall-fairness-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        a_timer_fires_beside(async || drop(UnixStream::connect(&path).await.unwrap())).await;
        drop(listener);
        std::fs::remove_file(&path).unwrap();
    });
}

#[test]
fn a_descriptor_that_is_always_ready_lets_a_timer_fire() {
    run(async {
        let (here, mut there) = std::os::unix::net::UnixStream::pair().unwrap();
        there.write_all(&[7; 2000]).unwrap();
        let here = AsyncFd::new(here).unwrap();
        a_timer_fires_beside(async || {
            assert_eq!(here.read_with(|mut here| here.read(&mut [0])).await.unwrap(), 1);
        })
        .await;
        a_timer_fires_beside(async || here.readable().await.unwrap()).await;
        a_timer_fires_beside(async || here.writable().await.unwrap()).await;
    });
}

#[test]
fn a_future_that_is_done_lets_a_timer_fire() {
    run(async {
        let done = Future::new();
        done.set_result(7).unwrap();
        a_timer_fires_beside(async || assert_eq!(done.clone().await, Ok(7))).await;
        a_timer_fires_beside(async || done.ready().await.unwrap()).await;
    });
}

// A task that blocks in an executor of its own cannot return to the loop.
#[test]
fn an_executor_inside_a_task_gets_on() {
    run(async {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        for _ in 0..1000 {
            futures_lite::future::block_on(socket.send_to(b"x", address)).unwrap();
            futures_lite::future::block_on(socket.recv_from(&mut [0; 8])).unwrap();
        }
    });
}

// A task that waits for many descriptors at once does not count those that are not ready.
#[test]
fn a_task_that_waits_for_many_sockets_sleeps() {
    run(async {
        let sockets: Vec<_> = (0..100).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let receive =
            |socket| Box::pin(async move { UdpSocket::recv_from(socket, &mut [0; 8]).await });
        let mut receives: Vec<_> = sockets.iter().map(receive).collect();
        let all = poll_fn(|cx| {
            receives.iter_mut().for_each(|receive| assert!(receive.as_mut().poll(cx).is_pending()));
            Poll::<()>::Pending
        });
        let turns = || squall_executor::stats().turns;
        let before = turns();
        assert!(timeout(Duration::from_millis(50), all).await.is_err());
        assert!(turns() - before < 20, "{} turns", turns() - before);
    });
}

// A stream that is closed tries once to send what is queued. No budget may refuse that.
#[test]
fn streams_that_say_goodbye_in_one_poll_are_all_heard() {
    run(async {
        let pairs: Vec<_> = (0..80).map(|_| UnixStream::pair().unwrap()).collect();
        let (ours, theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        for stream in ours {
            let mut stream = IoStream::new(stream);
            stream.write("bye").unwrap();
            drop(stream);
        }
        for stream in theirs {
            assert_eq!(IoStream::new(stream).read_until_close().await.unwrap(), "bye");
        }
    });
}
