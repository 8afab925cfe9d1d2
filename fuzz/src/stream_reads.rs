//! Reads of a stream: a script of reads, deliveries and ends, against a queue of bytes.
//!
//! - A read returns what a search in the queue finds, or the error that the queue calls for, and is
//!   ready as soon as one of the two is known.
//! - A read that is dropped, or fails, takes no byte.
//! - A read that waits is woken when it has become ready.
//! - The buffer of the stream is the begin of the queue, and not longer than its limit.
//! - The future of the end is ready when the last byte was read, and not before.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use squall_net::{Closed, EventLoop, IoStream, StreamConfig, StreamError, yield_now};

use crate::expected_read::{Expected, Limits, Queue, Read};
use crate::script::Script;
use crate::transport::{End, Incoming, Transport};

/// The turns after which a stream must know what has arrived. The close watcher hands over one part
/// of it a turn, so each byte adds some.
const TURNS: usize = 8;
const DELIMITERS: [&[u8]; 6] = [b"\n", b"\r\n", b"ab", b"aab", b"\r\n\r\n", b"abababababa"];
/// More than a stream reads at once.
const FLOOD: usize = 70_000;

thread_local! {
    /// One loop for all inputs. Each leaves it empty.
    static LOOP: EventLoop = EventLoop::new().expect("a loop can be made");
}

/// Checks one input: a script.
///
/// # Panics
/// If a stream is wrong.
pub fn check(input: &[u8]) {
    LOOP.with(|event_loop| event_loop.block_on(run(Script::new(input))));
}

async fn run(mut script: Script<'_>) {
    let limits = match script.byte() {
        0..64 => Limits { buffer: 100 << 20, chunk: 64 << 10 }, // the default
        byte => Limits { buffer: 1 + usize::from(byte % 64), chunk: 1 + script.below(32) },
    };
    let config = StreamConfig::default();
    let config = config.max_buffer_size(limits.buffer).read_chunk_size(limits.chunk);
    let mut peer = Peer {
        script,
        incoming: Incoming::new(),
        queue: Queue::new(limits),
        is_flooded: false,
        longest_buffer: limits.buffer,
    };
    let mut stream = IoStream::with_config(Transport(Rc::clone(&peer.incoming)), config);
    let mut closed = None;
    while !peer.script.is_over() {
        match peer.script.below(12) {
            0 | 1 => peer.deliver(),
            2 => yield_now().await,
            3 => consume_or_unread(&mut stream, &mut peer),
            4 if peer.script.coin() => {
                let again = stream.closed();
                closed.get_or_insert(again);
            }
            4 => check_closed(closed.as_mut(), &peer).await,
            5 if peer.script.below(8) == 0 => return close(stream, peer).await,
            _ => read(&mut stream, &mut peer).await,
        }
        check_buffer(&stream, &mut peer);
    }
}

/// The other end of the stream, and what the stream must know of it.
struct Peer<'a> {
    script: Script<'a>,
    incoming: Rc<RefCell<Incoming>>,
    queue: Queue,
    /// More than a stream reads at once was sent, which is slow, so once is enough.
    is_flooded: bool,
    /// The most bytes that the buffer may hold.
    longest_buffer: usize,
}

impl Peer<'_> {
    /// Sends bytes or the end, or changes how the transport returns them.
    fn deliver(&mut self) {
        let mut incoming = self.incoming.borrow_mut();
        let mut length = 0;
        match self.script.byte() {
            200..210 => _ = incoming.end.get_or_insert(End::Orderly),
            210..220 => {
                let kind = io::ErrorKind::ConnectionReset;
                incoming.end.get_or_insert(End::Failed(kind));
            }
            220..230 => incoming.hiccups = self.script.below(3),
            230..240 if !self.is_flooded => incoming.at_once = 1 + self.script.below(20),
            250.. if !self.is_flooded => {
                length = FLOOD;
                incoming.at_once = usize::MAX; // else it would take long
                self.is_flooded = true;
            }
            byte => length = usize::from(byte),
        }
        let pattern = text(self.script.bytes(length.min(12)));
        if incoming.end.is_none() && !pattern.is_empty() {
            let bytes = &pattern.repeat(length / pattern.len() + 1)[..length];
            self.queue.bytes.extend(bytes);
            incoming.bytes.extend(bytes);
        }
        self.queue.end = incoming.end;
        let waker = incoming.take_waker();
        drop(incoming);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The turns in which the stream must have taken what has arrived.
    fn turns(&self) -> usize {
        let bytes = self.queue.bytes.len();
        // A flood comes in large parts.
        TURNS + 2 * if self.is_flooded { bytes.min(512) } else { bytes }
    }

    fn choose_read(&mut self) -> Read {
        let script = &mut self.script;
        let most = match script.byte() {
            0..128 => usize::MAX,
            byte => usize::from(byte - 128),
        };
        match script.below(10) {
            0..4 => Read::Until { delimiter: script.one_of(&DELIMITERS), most },
            4 => Read::UntilMatch { byte: script.one_of(b"ab\r\n"), most },
            5 => Read::Bytes(script.byte().into()),
            6 => Read::Exact(script.byte().into()),
            7 => Read::Some(most),
            8 => Read::UntilClose,
            _ => Read::Fill,
        }
    }
}

/// The bytes of a script as bytes to send, of which delimiters consist.
fn text(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| b"ab\r\n"[usize::from(byte % 4)]).collect()
}

/// Counts how often a read was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads, and perhaps lets more arrive while the read waits.
async fn read(stream: &mut IoStream<Transport>, peer: &mut Peer<'_>) {
    let (read, buffered) = (peer.choose_read(), stream.buffer().len());
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut future = read.start(stream);
    loop {
        let expected = peer.queue.expect(read, buffered);
        let mut woken_before = 0;
        let mut polled = Poll::Pending;
        let turns = peer.turns();
        for turn in 1..=turns {
            woken_before = wakes.0.load(Ordering::Relaxed);
            polled = future.as_mut().poll(&mut Context::from_waker(&waker));
            if polled.is_ready() || expected == Expected::Nothing {
                break;
            }
            yield_now().await;
            let is_woken = wakes.0.load(Ordering::Relaxed) > woken_before;
            assert!(is_woken || turn < turns, "{read:?} is not woken for {expected:?}");
        }
        if let Poll::Ready(returned) = polled {
            drop(future);
            if let (Read::UntilClose, Expected::TooLong) = (read, &expected) {
                peer.longest_buffer = peer.longest_buffer.max(peer.queue.limits.buffer + 1);
            }
            return peer.queue.take(read, &expected, returned);
        }
        assert_eq!(expected, Expected::Nothing, "{read:?} waits");
        if peer.script.is_over() || peer.script.below(3) == 0 {
            return; // the read is dropped
        }
        peer.deliver();
        if peer.script.coin() {
            yield_now().await;
        }
        if peer.queue.expect(read, buffered) != Expected::Nothing {
            for _ in 0..peer.turns() {
                if wakes.0.load(Ordering::Relaxed) == woken_before {
                    yield_now().await;
                }
            }
            assert!(wakes.0.load(Ordering::Relaxed) > woken_before, "{read:?} is not woken");
        }
    }
}

fn consume_or_unread(stream: &mut IoStream<Transport>, peer: &mut Peer<'_>) {
    if peer.script.coin() {
        let bytes = text(peer.script.bytes(5));
        stream.unread(&bytes);
        for byte in bytes.iter().rev() {
            peer.queue.bytes.push_front(*byte);
        }
        peer.longest_buffer = peer.longest_buffer.max(stream.buffer().len());
    } else {
        let n = stream.buffer().len().min(peer.script.byte().into());
        stream.consume(n);
        peer.queue.bytes.drain(..n);
    }
}

fn check_buffer(stream: &IoStream<Transport>, peer: &mut Peer<'_>) {
    let buffer = stream.buffer();
    assert!(buffer.len() <= peer.longest_buffer, "{} bytes are buffered", buffer.len());
    let is_begin = peer.queue.bytes.make_contiguous().starts_with(buffer);
    assert!(is_begin, "the buffer is not the begin of what has arrived");
}

/// Whether the stream's end was announced must be known after a few turns.
async fn check_closed(closed: Option<&mut Closed>, peer: &Peer<'_>) {
    let Some(closed) = closed else { return };
    for _ in 0..peer.turns() {
        yield_now().await;
    }
    let is_ready =
        poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *closed).poll(cx).is_ready())).await;
    let is_at_end = peer.queue.end.is_some() && peer.queue.bytes.is_empty();
    assert!(is_ready || !is_at_end, "the end is not announced");
    assert!(!is_ready || peer.queue.end.is_some(), "the end is announced, and has not come");
}

/// Closes the stream. What its buffer holds can still be read, and perhaps what was read ahead.
async fn close(mut stream: IoStream<Transport>, mut peer: Peer<'_>) {
    let buffered = stream.buffer().len();
    stream.close();
    let has_too_many = peer.queue.bytes.len() > peer.queue.limits.buffer;
    match stream.read_until_close().await {
        Ok(rest) => {
            assert!(rest.len() >= buffered, "{} of {buffered} bytes", rest.len());
            assert!(peer.queue.bytes.make_contiguous().starts_with(&rest), "other bytes");
        }
        Err(StreamError::TooLong { .. }) => assert!(has_too_many, "there are not too many bytes"),
        Err(error) => assert_eq!(buffered, 0, "bytes are lost: {error}"),
    }
}
