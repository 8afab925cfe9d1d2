//! What reaches the transport, and in what order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::{AsyncRead, AsyncWrite};
use http_body_util::{Empty, Full};
use hyper::Response;
use hyper::body::{Body, Bytes};
use hyper::rt::Write as _;
use squall_net::hyper::Io;
use squall_net::{DuplexStream, IoStream, duplex, spawn, stats};

use crate::support::{Pieces, connect, post, run, serve, whole};

/// The most bytes that a stream passes to its transport at once, and its budget for one turn.
const MOST: usize = 256 << 10;
const GET: &str = "GET / HTTP/1.0\r\n\r\n";

/// A transport that notes each write.
struct Noted {
    transport: DuplexStream,
    writes: Rc<RefCell<Vec<Write>>>,
}

struct Write {
    /// The turn of the loop.
    turn: u64,
    len: usize,
    /// The addresses of the slices.
    slices: Vec<*const u8>,
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_read(cx, into)
    }
}

/// Takes whatever it is given, as TLS does.
impl AsyncWrite for Noted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(cx, &[IoSlice::new(from)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = from.iter().flat_map(|slice| slice.iter().copied()).collect();
        let polled = Pin::new(&mut self.transport).poll_write(cx, &all);
        if let Poll::Ready(Ok(len)) = polled {
            let slices = from.iter().map(|slice| slice.as_ptr()).collect();
            self.writes.borrow_mut().push(Write { turn: stats().turns, len, slices });
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_close(cx)
    }
}

/// The writes that an answer with this body takes.
async fn writes_of<B>(body: B) -> Vec<Write>
where
    B: Body<Data: Send, Error: std::error::Error + Send + Sync> + 'static,
{
    let (client, transport) = duplex(8 << 20);
    let writes = Rc::default();
    let server = IoStream::new(Noted { transport, writes: Rc::clone(&writes) });
    let body = Cell::new(Some(body));
    serve(server, async move |_| {
        Ok::<_, Infallible>(Response::new(body.take().expect("one request")))
    });
    let mut sender = connect(IoStream::new(client)).await;
    let response = sender.send_request(post(Empty::<Bytes>::new())).await.unwrap();
    whole(response.into_body()).await;
    writes.take()
}

#[test]
fn a_head_and_its_body_leave_in_one_write_and_the_body_is_not_copied() {
    run(async {
        for size in [5, 10_000, 200_000] {
            let body = Bytes::from(vec![b'x'; size]);
            let writes = writes_of(Full::new(body.clone())).await;
            assert_eq!(writes.len(), 1, "for {size} bytes");
            assert_eq!(writes[0].slices[1..], [body.as_ptr()], "for {size} bytes");
        }
    });
}

// S4
#[test]
fn an_answer_moves_about_256_kib_a_turn_through_a_transport_that_takes_all() {
    run(async {
        let whole = Full::new(Bytes::from(vec![b'x'; 4 << 20]));
        let of_a_whole = writes_of(whole).await;
        assert_eq!(of_a_whole[0].len, MOST, "a part of the body leaves with the head");
        let of_pieces = writes_of(Pieces::new(64, 64 << 10)).await;
        for writes in [of_a_whole, of_pieces] {
            let mut in_turns = BTreeMap::new();
            for Write { turn, len, .. } in writes {
                assert!(len <= MOST, "{len} bytes at once");
                *in_turns.entry(turn).or_default() += len;
            }
            let first = in_turns.pop_first().expect("it takes many turns").1;
            assert!(first < 3 * MOST, "{first} bytes in the first turn"); // it was slow before
            // The write that uses the budget up may exceed it.
            assert!(in_turns.values().all(|&sum: &usize| sum < 2 * MOST), "{in_turns:?}");
        }
    });
}

#[test]
fn hyper_reads_what_the_stream_has_buffered_and_writes_after_what_it_has_queued() {
    run(async {
        let (client, server) = duplex(64);
        let (mut client, mut server) = (IoStream::new(client), IoStream::new(server));
        client.write(format!("PROXY UNKNOWN\r\n{GET}")).unwrap();
        server.read_until(b"\r\n").await.unwrap();
        assert_eq!(server.buffer(), GET.as_bytes());
        let greeting = "x".repeat(1000);
        server.write(&*greeting).unwrap(); // more than the transport takes
        serve(server, async |_| {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
        });
        assert_eq!(client.read_bytes(1000).await.unwrap(), greeting);
        let answer = client.read_until_close().await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.0 200 OK\r\n"), "{answer:?}");
        assert!(answer.ends_with(b"\r\n\r\nhello"), "{answer:?}");
    });
}

#[test]
fn a_shutdown_flushes_and_ends_only_the_writing_direction() {
    run(async {
        let (here, there) = duplex(64);
        let (mut io, mut there) = (Io::new(IoStream::new(here)), IoStream::new(there));
        io.get_mut().write(vec![b'x'; 1000]).unwrap();
        let shutdown = spawn(async move {
            poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx)).await.unwrap();
            io
        });
        assert_eq!(there.read_until_close().await.unwrap().len(), 1000);
        there.write_all(b"hello").await.unwrap();
        let mut io = shutdown.await.unwrap();
        assert_eq!(io.get_mut().read_bytes(5).await.unwrap(), "hello");
    });
}

// I12
#[test]
fn a_body_of_many_pieces_keeps_its_order() {
    run(async {
        let (client, server) = duplex(1000);
        let body = Pieces::new(5000, 3);
        let body = Cell::new(Some(body));
        serve(IoStream::new(server), async move |_| {
            Ok::<_, Infallible>(Response::new(body.take().expect("one request")))
        });
        let mut sender = connect(IoStream::new(client)).await;
        let response = sender.send_request(post(Empty::<Bytes>::new())).await.unwrap();
        let received = whole(response.into_body()).await;
        assert!(received == Pieces::bytes(5000, 3));
    });
}
