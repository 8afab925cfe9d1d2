//! Descriptors of any kind.

use std::future::{Future, poll_fn};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use squall_net::{AsyncFd, EventLoop, Interest, add_handler, remove_handler, update_handler};

use super::{Operation, in_task};
use crate::limit::Limit::{Allocations, Atomics, Calls};
use crate::meter::Meter;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("`AsyncFd::new` of a non-blocking socket, and `into_inner`", new_and_into_inner)
        .at_most(&[Allocations(0.0), Calls(1.0)]),
    Operation::new("`AsyncFd::read_with` that finds a byte, beside the `read`", read_at_once)
        .at_most(&[Allocations(0.0), Atomics(0.0), Calls(0.0)]),
    Operation::new(
        "`AsyncFd::read_with` that waits for the first time, and drop: the registration",
        register,
    )
    .at_most(&[Calls(3.0)]),
    Operation::new(
        "`AsyncFd::read_with` that waits, and gets a byte later, beside the `read`",
        read_after_wait,
    )
    .at_most(&[Allocations(0.0), Calls(2.0)]),
    Operation::new("`AsyncFd::readable` that finds a byte", readable).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
    Operation::new(
        "`add_handler` and `remove_handler`, which closes the descriptor",
        add_and_remove_handler,
    )
    .at_most(&[Calls(3.0)]),
    Operation::new("`update_handler`", update).at_most(&[Allocations(0.0), Calls(1.0)]),
    Operation::new("A call of a handler, beside its `read` and the turn of the loop", handler_call)
        .at_most(&[Allocations(0.0), Calls(0.0)]),
];

/// Two connected sockets that do not block.
fn pair() -> (UnixStream, UnixStream) {
    let (a, b) = UnixStream::pair().expect("descriptors are free");
    for end in [&a, &b] {
        end.set_nonblocking(true).expect("it is open");
    }
    (a, b)
}

fn send(mut peer: &UnixStream) {
    peer.write_all(&[7]).expect("there is room");
}

fn receive(mut socket: &UnixStream) -> io::Result<usize> {
    socket.read(&mut [0; 8])
}

/// A byte that is sent and read without the loop.
fn frame_of_reading(meter: Meter) {
    let (socket, peer) = pair();
    meter.measure_frame(|| {
        send(&peer);
        receive(&socket).expect("a byte")
    });
}

fn new_and_into_inner(meter: Meter) {
    let mut socket = Some(pair().0);
    meter.measure(|| {
        let fd = AsyncFd::new(socket.take().expect("it was put back")).expect("it is open");
        socket = Some(fd.into_inner());
    });
}

fn read_at_once(meter: Meter) {
    frame_of_reading(meter);
    in_task(async move {
        let (socket, peer) = pair();
        let socket = AsyncFd::new(socket).expect("it is open");
        let read = async || {
            send(&peer);
            socket.read_with(receive).await
        };
        meter.measure_async(read).await;
    });
}

fn register(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            let sockets: Vec<_> = (0..run.count).map(|_| pair()).collect();
            let sockets: Vec<_> = sockets
                .into_iter()
                .map(|(a, b)| (AsyncFd::new(a).expect("it is open"), b))
                .collect();
            run.begin();
            for (socket, _peer) in &sockets {
                wait_in_vain(socket).await;
            }
            let sockets: Vec<_> =
                sockets.into_iter().map(|(socket, peer)| (socket.into_inner(), peer)).collect();
            run.end();
            drop(sockets);
        }
    });
}

/// Begins to read from an empty socket, and gives up.
async fn wait_in_vain(socket: &AsyncFd<UnixStream>) {
    let mut read = pin!(socket.read_with(receive));
    poll_fn(|cx| {
        assert!(read.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

fn read_after_wait(meter: Meter) {
    frame_of_reading(meter);
    in_task(async move {
        let (socket, peer) = pair();
        let socket = AsyncFd::new(socket).expect("it is open");
        let read = async || {
            let mut read = pin!(socket.read_with(receive));
            let mut is_sent = false;
            poll_fn(|cx| {
                let polled = read.as_mut().poll(cx);
                if !is_sent {
                    assert!(polled.is_pending());
                    send(&peer);
                    is_sent = true;
                }
                polled
            })
            .await
        };
        meter.measure_async(read).await;
    });
}

fn readable(meter: Meter) {
    in_task(async move {
        let (socket, peer) = pair();
        send(&peer);
        let socket = AsyncFd::new(socket).expect("it is open");
        meter.measure_async(async || socket.readable().await).await;
    });
}

fn add_and_remove_handler(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            let sockets: Vec<_> = (0..run.count).map(|_| pair()).collect();
            let mut handlers = Vec::with_capacity(run.count);
            let duplicates: Vec<_> =
                sockets.iter().map(|(a, _)| a.try_clone().expect("descriptors are free")).collect();
            run.begin();
            for socket in duplicates {
                handlers
                    .push(add_handler(socket, Interest::READABLE, |_, _| {}).expect("a socket"));
            }
            for handler in handlers {
                assert!(remove_handler(handler));
            }
            run.end();
        }
    });
}

fn update(meter: Meter) {
    in_task(async move {
        let (socket, _peer) = pair();
        let handler = add_handler(socket, Interest::READABLE, |_, _| {}).expect("a socket");
        let interests = [Interest::READABLE | Interest::PRIORITY, Interest::READABLE];
        let mut which = interests.iter().cycle();
        meter.measure(|| {
            let interest = *which.next().expect("it never ends");
            update_handler(handler, interest).expect("it is registered");
        });
    });
}

fn handler_call(meter: Meter) {
    let event_loop = EventLoop::new().expect("descriptors are free");
    let (socket, peer) = pair();
    meter.measure_frame(|| {
        send(&peer);
        receive(&socket).expect("a byte");
        two_turns(&event_loop);
    });
    let read = |socket: &UnixStream, _| assert_eq!(receive(socket).expect("a byte"), 1);
    event_loop.add_handler(socket, Interest::READABLE, read).expect("a socket");
    meter.measure(|| {
        send(&peer);
        two_turns(&event_loop); // the first finds that the socket is ready
    });
}

fn two_turns(event_loop: &EventLoop) {
    for _ in 0..2 {
        event_loop.run_once(Some(Duration::ZERO)).expect("the loop is open");
    }
}
