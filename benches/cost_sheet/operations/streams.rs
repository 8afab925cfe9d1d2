//! `IoStream` over TCP. The peer is a socket of std's on the same thread: what it does is a part of
//! the frame.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use squall_net::{IoStream, TcpStream, duplex, yield_now};

use super::{Operation, in_task};
use crate::limit::Limit::{Allocations, Atomics, Calls};
use crate::meter::Meter;

/// A request, with a line end as its last byte.
pub(super) const REQUEST: [u8; 64] = {
    let mut request = [b'x'; 64];
    request[63] = b'\n';
    request
};

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new(
        "`IoStream::new` of a TCP stream, and drop, which closes the socket",
        new_and_drop,
    )
    .at_most(&[Allocations(1.0), Atomics(0.0), Calls(1.0)]),
    Operation::new("`fill` that finds 64 bytes, and `consume`", fill).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
    Operation::new("`fill` that waits for 64 bytes, and `consume`", fill_after_wait)
        .at_most(&[Allocations(0.0), Calls(2.0)]),
    Operation::new("`read_some` that finds 64 bytes", read_some).at_most(&[Calls(1.0)]),
    Operation::new("`read_bytes` that finds 64 bytes", read_bytes).at_most(&[Calls(1.0)]),
    Operation::new("`read_exact` that finds 64 bytes", read_exact).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
    Operation::new("`read_until` a line of 64 bytes, which one `recv` brings", read_line)
        .at_most(&[Calls(1.0)]),
    Operation::new("`read_until` a line of 64 bytes, of which one `recv` brings 16", read_16_lines)
        .at_most(&[Calls(1.0)]),
    Operation::new("`write` of 64 bytes, sent at the end of the batch", write_64).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
    Operation::new("`write` of 16 × 64 bytes, sent together at the end of the batch", write_16)
        .at_most(&[Allocations(0.0), Atomics(0.0), Calls(1.0)]),
    Operation::new("`write` of 64 bytes and `flush`", write_and_flush).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
    Operation::new("`write_all` of 64 bytes", write_all).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
    Operation::new("`split` and `unsplit`", split).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(0.0),
    ]),
    Operation::new("`shutdown`, and drop", shutdown).at_most(&[Allocations(0.0), Calls(2.0)]),
    Operation::new("`linger` after the peer's end, and drop", linger),
    Operation::new("`closed` after the peer's end, and drop", closed),
    Operation::new("`duplex` and drop", duplex_and_drop).at_most(&[Atomics(0.0), Calls(0.0)]),
];

type Peer = std::net::TcpStream;

/// Connected streams. The peers block.
fn connections(count: usize) -> Vec<(TcpStream, Peer)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let connect = |_| {
        let peer = Peer::connect(address).expect("it listens");
        let (stream, _) = listener.accept().expect("the peer has connected");
        for end in [&peer, &stream] {
            end.set_nodelay(true).expect("it is open");
        }
        (TcpStream::from_std(stream).expect("it is open"), peer)
    };
    (0..count).map(connect).collect()
}

fn connection() -> (IoStream, Peer) {
    let (stream, peer) = connections(1).remove(0);
    (IoStream::new(stream), peer)
}

fn send(mut peer: &Peer, bytes: &[u8]) {
    peer.write_all(bytes).expect("there is room");
}

/// Measures a read of the bytes that the peer has sent just before.
fn read_of(meter: Meter, bytes: &'static [u8], mut read: impl AsyncFnMut(&mut IoStream) + 'static) {
    for run in meter.frame() {
        let (_stream, peer) = connection();
        run.begin();
        (0..run.count).for_each(|_| send(&peer, bytes));
        run.end();
    }
    in_task(async move {
        let (mut stream, peer) = connection();
        let operation = async || {
            send(&peer, bytes);
            read(&mut stream).await;
        };
        meter.measure_async(operation).await;
    });
}

fn new_and_drop(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            let (streams, _peers): (Vec<_>, Vec<_>) = connections(run.count).into_iter().unzip();
            run.begin();
            for stream in streams {
                drop(IoStream::new(stream));
            }
            run.end();
        }
    });
}

fn fill(meter: Meter) {
    read_of(meter, &REQUEST, async |stream| {
        assert_eq!(stream.fill().await.ok(), Some(64));
        stream.consume(64);
    });
}

fn fill_after_wait(meter: Meter) {
    for run in meter.frame() {
        let (_stream, peer) = connection();
        run.begin();
        (0..run.count).for_each(|_| send(&peer, &REQUEST));
        run.end();
    }
    in_task(async move {
        let (mut stream, peer) = connection();
        meter.measure_async(async || fill_while_empty(&mut stream, &peer).await).await;
    });
}

/// Begins to read, lets the peer send, and goes on.
async fn fill_while_empty(stream: &mut IoStream, peer: &Peer) {
    let mut is_sent = false;
    let filled = poll_fn(|cx| {
        let polled = stream.poll_fill(cx);
        if !is_sent {
            assert!(polled.is_pending());
            send(peer, &REQUEST);
            is_sent = true;
        }
        polled
    });
    assert_eq!(filled.await.ok(), Some(64));
    stream.consume(64);
}

fn read_some(meter: Meter) {
    read_of(meter, &REQUEST, async |stream| {
        assert_eq!(stream.read_some(4096).await.expect("bytes").len(), 64);
    });
}

fn read_bytes(meter: Meter) {
    read_of(meter, &REQUEST, async |stream| {
        assert_eq!(stream.read_bytes(64).await.expect("bytes").len(), 64);
    });
}

fn read_exact(meter: Meter) {
    read_of(meter, &REQUEST, async |stream| {
        stream.read_exact(&mut [0; 64]).await.expect("bytes");
    });
}

fn read_line(meter: Meter) {
    read_of(meter, &REQUEST, async |stream| {
        assert_eq!(stream.read_until(b"\n").await.expect("a line").len(), 64);
    });
}

fn read_16_lines(meter: Meter) {
    const LINES: [u8; 16 * 64] = {
        let mut lines = [b'x'; 16 * 64];
        let mut end = 63;
        while end < lines.len() {
            lines[end] = b'\n';
            end += 64;
        }
        lines
    };
    read_of(meter, &LINES, async |stream| {
        for _ in 0..16 {
            assert_eq!(stream.read_until(b"\n").await.expect("a line").len(), 64);
        }
    });
}

/// Measures a write. The peer reads between the runs.
fn write_of(meter: Meter, mut write: impl AsyncFnMut(&mut IoStream) + 'static) {
    in_task(async move {
        meter.measure_frame_async(yield_now).await;
        for run in meter.runs() {
            let (mut stream, mut peer) = connection();
            run.begin();
            for _ in 0..run.count {
                write(&mut stream).await;
                yield_now().await; // the batch ends
            }
            run.end();
            drop(stream);
            peer.read_to_end(&mut Vec::new()).expect("the end of the stream");
        }
    });
}

fn write_64(meter: Meter) {
    write_of(meter, async |stream| stream.write(&REQUEST).expect("it is open"));
}

fn write_16(meter: Meter) {
    write_of(meter, async |stream| {
        (0..16).for_each(|_| stream.write(&REQUEST).expect("it is open"));
    });
}

fn write_and_flush(meter: Meter) {
    write_of(meter, async |stream| {
        stream.write(&REQUEST).expect("it is open");
        stream.flush().await.expect("there is room");
    });
}

fn write_all(meter: Meter) {
    write_of(meter, async |stream| stream.write_all(&REQUEST).await.expect("there is room"));
}

fn split(meter: Meter) {
    in_task(async move {
        let mut stream = Some(connection().0);
        meter.measure(|| {
            let (reader, writer) = stream.take().expect("it was put back").split();
            stream = reader.unsplit(writer).ok();
        });
    });
}

/// Measures what ends a connection. `before` is what the peer does before.
fn end_of(
    meter: Meter,
    before: impl Fn(&Peer) + 'static,
    mut end: impl AsyncFnMut(&mut IoStream) + 'static,
) {
    in_task(async move {
        for run in meter.runs() {
            let (streams, peers): (Vec<_>, Vec<_>) = connections(run.count).into_iter().unzip();
            let streams: Vec<_> = streams.into_iter().map(IoStream::new).collect();
            peers.iter().for_each(&before);
            run.begin();
            for mut stream in streams {
                end(&mut stream).await;
            }
            yield_now().await; // what the streams have woken
            run.end();
        }
    });
}

fn shutdown(meter: Meter) {
    end_of(meter, |_| {}, async |stream| stream.shutdown().await.expect("it is open"));
}

fn end(peer: &Peer) {
    peer.shutdown(std::net::Shutdown::Both).expect("it is open");
}

fn linger(meter: Meter) {
    let limit = Duration::from_secs(60);
    end_of(meter, end, async move |stream| {
        stream.linger(1 << 20, limit).await.expect("it is open");
    });
}

fn closed(meter: Meter) {
    end_of(meter, end, async |stream| stream.closed().await);
}

fn duplex_and_drop(meter: Meter) {
    in_task(async move { meter.measure(|| duplex(1024)) });
}
