//! The script of a writer and a reader, and the byte queue that says what every read must return.
//!
//! All bytes that were written and not read are one queue, whether they are in the write queue, in the
//! transport or in the read buffer. The queue alone decides the outcome of a read. So where the bytes
//! are split, and which reads were dropped before, must not matter.

use std::future::Future;
use std::pin::pin;

use futures_io::{AsyncRead, AsyncWrite};
use futures_lite::future::poll_once;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use squall_net::{Bytes, Closed, IoStream, StreamConfig, StreamError, spawn, yield_now};

#[derive(Clone, Debug)]
enum Act {
    Write {
        len: usize,
        is_owned: bool,
    },
    /// Writes so much that one byte less, as many or one more than the limit are unread.
    WriteToLimit(usize),
    /// A read that is polled so many times and dropped, and then tried again.
    Read {
        kind: Read,
        polls: usize,
    },
    /// Drops a part of what is buffered.
    Consume(Index),
    Unread(usize),
    /// Lets the other tasks run.
    Settle,
    /// The writer ends its direction. It writes nothing more.
    End,
    /// The reader asks to be told of the end.
    Watch,
}

#[derive(Clone, Debug)]
enum Read {
    Until {
        delimiter: &'static [u8],
        max: usize,
    },
    /// Up to a byte, by a function.
    UntilMatch {
        byte: u8,
        max: usize,
    },
    Bytes(usize),
    Exact(usize),
    Some(usize),
    Fill,
    UntilClose,
}

/// The limits of a stream and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    max_buffer_size: usize,
    read_chunk_size: usize,
    max_write_buffer_size: Option<usize>,
    acts: Vec<Act>,
    seed: u32,
}

fn read() -> impl Strategy<Value = Read> {
    let delimiter = prop_oneof![
        Just(b"\n".as_slice()),
        Just(b"ab".as_slice()),
        Just(b"aab".as_slice()),
        Just(b"\n\n".as_slice()),
        Just(b"abababababab".as_slice()), // longer than a search position is kept for
    ];
    let max = || prop_oneof![2 => 0..40_usize, 1 => Just(usize::MAX)];
    let byte = prop_oneof![Just(b'a'), Just(b'\n')];
    prop_oneof![
        5 => (delimiter, max()).prop_map(|(delimiter, max)| Read::Until { delimiter, max }),
        1 => (byte, max()).prop_map(|(byte, max)| Read::UntilMatch { byte, max }),
        2 => (0..50_usize).prop_map(Read::Bytes),
        1 => (0..50_usize).prop_map(Read::Exact),
        2 => max().prop_map(Read::Some),
        2 => Just(Read::Fill),
        2 => Just(Read::UntilClose),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![8 => 0..30_usize, 1 => 2000..3000_usize];
    prop_oneof![
        16 => (len, any::<bool>()).prop_map(|(len, is_owned)| Act::Write { len, is_owned }),
        4 => (0..3_usize).prop_map(Act::WriteToLimit),
        24 => (read(), 0..4_usize).prop_map(|(kind, polls)| Act::Read { kind, polls }),
        4 => any::<Index>().prop_map(Act::Consume),
        2 => (0..20_usize).prop_map(Act::Unread),
        4 => Just(Act::Settle),
        1 => Just(Act::End),
        1 => Just(Act::Watch),
    ]
}

/// Cases with small limits, and with the default ones, for which a stream reads otherwise.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let max_buffer_size = prop_oneof![3 => 1..60_usize, 1 => Just(100 << 20)];
    let read_chunk_size = prop_oneof![2 => 1..20_usize, 1 => Just(64 << 10)];
    let max_write_buffer_size = prop::option::of(1..100_usize);
    let limits = (max_buffer_size, read_chunk_size, max_write_buffer_size);
    (limits, vec(act(), 0..60), any::<u32>()).prop_map(|(limits, acts, seed)| Case {
        max_buffer_size: limits.0,
        read_chunk_size: limits.1,
        max_write_buffer_size: limits.2,
        acts,
        seed,
    })
}

/// What a read must return.
#[derive(Debug, PartialEq)]
enum Expected {
    /// So many bytes.
    Bytes(usize),
    /// At least one byte, and at most so many.
    UpTo(usize),
    /// The number of bytes that came into the buffer, which is not zero.
    Filled,
    /// The end of the stream.
    End,
    TooLong(usize),
    /// Either the end or `TooLong`, because the limit is reached and the end was maybe seen.
    EndOrTooLong,
    Closed,
    Pending,
}

/// The bytes that were written and not read, and what else decides the outcome of a read.
struct Model {
    unread: Vec<u8>,
    has_ended: bool,
    /// An earlier read has returned everything up to the end.
    was_read_to_end: bool,
    /// The stream had ended and everything was read, at some time.
    was_drained: bool,
    /// The bytes that were put back into the buffer, which its limit does not count.
    put_back: usize,
    max: usize,
}

impl Model {
    fn expect(&self, read: &Read, buffered: usize) -> Expected {
        let len = self.unread.len();
        let or_wait = if self.has_ended { Expected::Closed } else { Expected::Pending };
        match read {
            Read::Until { delimiter, max } => self.expect_until(delimiter, *max, or_wait),
            Read::UntilMatch { byte, max } => self.expect_until(&[*byte], *max, or_wait),
            Read::Bytes(n) | Read::Exact(n) if *n > self.max => Expected::TooLong(self.max),
            Read::Bytes(n) | Read::Exact(n) if *n <= len => Expected::Bytes(*n),
            Read::Bytes(_) | Read::Exact(_) => or_wait,
            Read::Some(0) => Expected::Bytes(0),
            Read::Some(max) if len > 0 => Expected::UpTo(*max),
            Read::Some(_) => or_wait,
            Read::Fill if buffered >= self.max && self.has_ended => Expected::EndOrTooLong,
            Read::Fill if buffered >= self.max => Expected::TooLong(self.max),
            Read::Fill if buffered < len => Expected::Filled,
            Read::Fill if self.has_ended => Expected::End,
            Read::Fill => Expected::Pending,
            Read::UntilClose if self.was_read_to_end && len == 0 => Expected::Closed,
            Read::UntilClose if len > self.max && len == buffered && self.has_ended => {
                Expected::EndOrTooLong
            }
            Read::UntilClose if len > self.max => Expected::TooLong(self.max),
            Read::UntilClose if self.has_ended => Expected::Bytes(len),
            Read::UntilClose => Expected::Pending,
        }
    }

    fn expect_until(&self, delimiter: &[u8], max: usize, or_wait: Expected) -> Expected {
        let limit = max.min(self.max);
        let shown = &self.unread[..limit.min(self.unread.len())];
        match shown.windows(delimiter.len()).position(|window| window == delimiter) {
            Some(at) => Expected::Bytes(at + delimiter.len()),
            None if self.unread.len() >= limit => Expected::TooLong(limit),
            None => or_wait,
        }
    }

    /// Compares the outcome of a read, and removes what it has taken.
    fn check(&mut self, read: &Read, expected: &Expected, outcome: Result<Outcome, StreamError>) {
        let fail = |outcome: &dyn std::fmt::Debug| -> ! {
            panic!("{read:?} returned {outcome:?} and not {expected:?}")
        };
        match (outcome, expected) {
            (Ok(Outcome::Bytes(bytes)), expected) => {
                let is_len_right = match expected {
                    Expected::Bytes(n) => bytes.len() == *n,
                    Expected::UpTo(max) => (1..=*max).contains(&bytes.len()),
                    Expected::EndOrTooLong => bytes.len() == self.unread.len(),
                    _ => false,
                };
                if !is_len_right || !self.unread.starts_with(&bytes) {
                    fail(&bytes);
                }
                self.unread.drain(..bytes.len());
                self.was_read_to_end |= matches!(read, Read::UntilClose);
            }
            (Ok(Outcome::Filled(n)), Expected::Filled) if n > 0 => {}
            (Ok(Outcome::Filled(0)), Expected::End | Expected::EndOrTooLong) => {}
            (Err(StreamError::TooLong { limit }), Expected::TooLong(max)) if limit == *max => {}
            (Err(StreamError::TooLong { limit }), Expected::EndOrTooLong) if limit == self.max => {}
            (Err(StreamError::Closed { cause: None }), Expected::Closed) => {}
            (outcome, _) => fail(&outcome),
        }
    }
}

#[derive(Debug)]
enum Outcome {
    Bytes(Bytes),
    Filled(usize),
}

async fn perform<R: AsyncRead + Unpin + 'static>(
    reader: &mut IoStream<R>,
    read: &Read,
) -> Result<Outcome, StreamError> {
    match read {
        Read::Until { delimiter, max: usize::MAX } => reader.read_until(delimiter).await,
        Read::Until { delimiter, max } => reader.read_until_max(delimiter, *max).await,
        Read::UntilMatch { byte, max } => {
            let find = |data: &[u8]| data.iter().position(|other| other == byte).map(|at| at + 1);
            reader.read_until_match(*max, find).await
        }
        Read::Bytes(n) => reader.read_bytes(*n).await,
        Read::Exact(n) => {
            let mut into = vec![0; *n];
            let outcome = reader.read_exact(&mut into).await;
            outcome.map(|()| into.into())
        }
        Read::Some(max) => reader.read_some(*max).await,
        Read::Fill => return reader.fill().await.map(Outcome::Filled),
        Read::UntilClose => reader.read_until_close().await,
    }
    .map(Outcome::Bytes)
}

/// Polls a future at most so many times. Other tasks run in between.
async fn poll_times<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Some(output) = poll_once(&mut future).await {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

struct Run<R, W> {
    reader: IoStream<R>,
    /// `None` once the writer has ended.
    writer: Option<IoStream<W>>,
    max_write_buffer_size: usize,
    closed: Option<Closed>,
    model: Model,
    seed: u32,
}

impl Case {
    pub(crate) async fn run<W, R>(&self, writer: W, reader: R)
    where
        W: AsyncWrite + AsyncRead + Unpin + 'static,
        R: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let config = StreamConfig::default()
            .max_buffer_size(self.max_buffer_size)
            .read_chunk_size(self.read_chunk_size);
        let of_writer = StreamConfig::default().max_write_buffer_size(self.max_write_buffer_size);
        let mut run = Run {
            reader: IoStream::with_config(reader, config),
            writer: Some(IoStream::with_config(writer, of_writer)),
            max_write_buffer_size: self.max_write_buffer_size.unwrap_or(usize::MAX),
            closed: None,
            model: Model {
                unread: Vec::new(),
                has_ended: false,
                was_read_to_end: false,
                was_drained: false,
                put_back: 0,
                max: self.max_buffer_size,
            },
            seed: self.seed,
        };
        for act in &self.acts {
            run.act(act).await;
            run.check().await;
        }
        run.finish().await;
    }
}

impl<R, W> Run<R, W>
where
    R: AsyncRead + AsyncWrite + Unpin + 'static,
    W: AsyncRead + AsyncWrite + Unpin + 'static,
{
    /// Bytes of a small alphabet, so that delimiters are frequent.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut next = || {
            self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b"aabbabx\n"[usize::try_from(self.seed >> 29).unwrap()]
        };
        (0..len).map(|_| next()).collect()
    }

    async fn act(&mut self, act: &Act) {
        match act {
            Act::Write { len, is_owned } => self.write(*len, *is_owned),
            Act::WriteToLimit(nth) => {
                let len = (self.model.max + nth).saturating_sub(1 + self.model.unread.len());
                if len < 100 {
                    self.write(len, false);
                }
            }
            Act::Read { kind, polls } => self.read(kind, *polls).await,
            Act::Consume(part) => {
                let n = part.index(self.reader.buffer().len() + 1);
                self.reader.consume(n);
                self.model.unread.drain(..n);
            }
            Act::Unread(len) => {
                let bytes = self.bytes(*len);
                self.reader.unread(&bytes);
                self.model.put_back += len;
                self.model.unread.splice(..0, bytes);
            }
            Act::Settle => {
                for _ in 0..5 {
                    yield_now().await;
                }
            }
            Act::End => self.end(),
            Act::Watch => {
                if self.closed.is_none() {
                    self.closed = Some(self.reader.closed());
                }
            }
        }
    }

    fn write(&mut self, len: usize, is_owned: bool) {
        let bytes = self.bytes(len);
        let Some(writer) = &mut self.writer else { return };
        let is_full = writer.queued() + len > self.max_write_buffer_size;
        let queued = writer.queued();
        let written = if is_owned { writer.write(bytes.clone()) } else { writer.write(&bytes) };
        match written {
            Ok(()) if !is_full => self.model.unread.extend(bytes),
            Err(StreamError::BufferFull { limit }) if is_full => {
                assert_eq!(limit, self.max_write_buffer_size);
                assert_eq!(writer.queued(), queued, "a refused write was queued in part");
            }
            written => panic!("{len} bytes behind {queued}: {written:?}"),
        }
    }

    async fn read(&mut self, read: &Read, polls: usize) {
        let expected = self.model.expect(read, self.reader.buffer().len());
        let outcome = poll_times(perform(&mut self.reader, read), polls).await;
        if let Some(outcome) = outcome {
            return self.model.check(read, &expected, outcome);
        }
        let expected = self.model.expect(read, self.reader.buffer().len());
        if expected != Expected::Pending {
            let outcome = perform(&mut self.reader, read).await;
            self.model.check(read, &expected, outcome);
        }
    }

    fn end(&mut self) {
        if let Some(mut writer) = self.writer.take() {
            self.model.has_ended = true;
            drop(spawn(async move {
                writer.shutdown().await.expect("the reader reads everything");
            }));
        }
    }

    async fn check(&mut self) {
        let buffered = self.reader.buffer();
        assert!(self.model.unread.starts_with(buffered), "{buffered:?} is buffered");
        let limit = self.model.max.saturating_add(1 + self.model.put_back);
        assert!(buffered.len() <= limit, "{} bytes are buffered", buffered.len());
        self.model.was_drained |= self.model.has_ended && self.model.unread.is_empty();
        if let Some(closed) = &mut self.closed
            && poll_once(closed).await.is_some()
        {
            assert!(self.model.was_drained, "the end is reported while bytes are left");
            self.closed = None;
        }
    }

    /// Ends the stream and reads what is left.
    async fn finish(mut self) {
        self.end();
        self.read(&Read::UntilClose, 0).await;
        while !self.model.unread.is_empty() {
            self.read(&Read::Some(usize::MAX), 0).await;
        }
        self.read(&Read::Some(1), 0).await;
        if let Some(closed) = self.closed {
            closed.await;
        }
    }
}
