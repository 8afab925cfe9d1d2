//! Properties of the buffers: scripts beside plain byte queues. Two buffers and a write queue share
//! the thread's pool of segments, so a segment that had two owners would mix their bytes.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::buffer::read_buffer::ReadBuffer;
use crate::buffer::segment::{SEGMENT_SIZE, Segment};
use crate::buffer::write_queue::WriteQueue;

/// 512 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    if is_set { ProptestConfig::default() } else { ProptestConfig::with_cases(512) }
}

/// A number of bytes: few, or about as many as one of the limits in this module.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        12 => 0..20_usize,
        4 => 500..530_usize,
        4 => 2040..2060_usize,
        2 => 4090..4100_usize,
        2 => SEGMENT_SIZE - 3..SEGMENT_SIZE + 3,
        1 => Just(3 * SEGMENT_SIZE),
    ]
}

/// Bytes that differ from their neighbours, with line ends.
struct Bytewise(u32);

impl Bytewise {
    fn take(&mut self, n: usize) -> Vec<u8> {
        let mut next = || {
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            self.0.to_be_bytes()[0] % 20 + b'\n'
        };
        (0..n).map(|_| next()).collect()
    }
}

/// How a write queue gets its bytes.
#[derive(Clone, Copy, Debug)]
enum Push {
    Borrowed(usize),
    Owned(usize),
    /// The pieces of another queue, one borrowed and one owned.
    Queue(usize, usize),
}

fn push() -> impl Strategy<Value = Push> {
    prop_oneof![
        3 => size().prop_map(Push::Borrowed),
        3 => size().prop_map(Push::Owned),
        1 => (size(), size()).prop_map(|(borrowed, owned)| Push::Queue(borrowed, owned)),
    ]
}

fn push_borrowed(queue: &mut WriteQueue, bytes: &[u8]) {
    if !queue.push_copy(bytes) {
        drop(queue.push_piece(bytes.into()));
    }
}

/// The next bytes to send, as the transport would see them.
fn visible(queue: &WriteQueue, max: usize) -> Vec<u8> {
    queue.single(max).map(<[u8]>::to_vec).unwrap_or_else(|| {
        queue.with_slices(max, |slices| slices.iter().flat_map(|slice| slice.to_vec()).collect())
    })
}

/// A read that is taken from or given to a buffer.
#[derive(Clone, Debug)]
enum Act {
    /// A read with room for `max` bytes that gets a part of them.
    Receive {
        max: usize,
        part: Index,
    },
    /// A read that would block.
    ReceiveNothing {
        max: usize,
    },
    /// A read of a whole segment into an unallocated buffer.
    Adopt(Index),
    Take(Index),
    Consume(Index),
    /// The task waits.
    Shrink,
    PutInFront(usize),
    /// To the other buffer.
    MoveTo(usize),
    Find {
        delimiter: &'static [u8],
        max: usize,
    },
    /// Small writes to the queue, which take a segment of the pool, or all of it sent.
    Queue(Option<usize>),
}

fn act() -> impl Strategy<Value = Act> {
    let delimiter = prop_oneof![
        Just(b"\n".as_slice()),
        Just(b"\x0b\n".as_slice()),
        Just(b"\n\n".as_slice()),
        Just(b"\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c\x0c".as_slice()), // longer than a position is kept for
    ];
    prop_oneof![
        6 => (size(), any::<Index>()).prop_map(|(max, part)| Act::Receive { max: max + 1, part }),
        1 => size().prop_map(|max| Act::ReceiveNothing { max: max + 1 }),
        1 => any::<Index>().prop_map(Act::Adopt),
        3 => any::<Index>().prop_map(Act::Take),
        2 => any::<Index>().prop_map(Act::Consume),
        2 => Just(Act::Shrink),
        1 => size().prop_map(Act::PutInFront),
        1 => size().prop_map(Act::MoveTo),
        3 => (delimiter, size()).prop_map(|(delimiter, max)| Act::Find { delimiter, max }),
        1 => prop::option::of(0..2000_usize).prop_map(Act::Queue),
    ]
}

/// A buffer, and the bytes that it must hold.
#[derive(Default)]
struct Buffer {
    real: ReadBuffer,
    model: Vec<u8>,
}

impl Buffer {
    fn act(&mut self, other: &mut Buffer, bytes: &mut Bytewise, act: &Act) {
        match act {
            Act::Receive { max, part } => self.receive(bytes, *max, part),
            Act::ReceiveNothing { max } => {
                self.real.receive(*max, |room| (0, assert!((1..=*max).contains(&room.len()))));
                let size = self.model.len();
                assert!(self.real.is_unallocated() || size > 0, "an empty buffer has memory");
            }
            Act::Adopt(part) if self.real.is_unallocated() => {
                let mut segment = Segment::pooled();
                let n = part.index(segment.size()) + 1;
                let received = bytes.take(n);
                segment.whole()[..n].copy_from_slice(&received);
                segment.fill(n);
                self.real.adopt(segment);
                self.model = received;
            }
            Act::Adopt(_) => {}
            Act::Take(part) => {
                let n = part.index(self.model.len() + 1);
                let taken: Bytes = self.real.take(n);
                assert!(taken == self.model.drain(..n).as_slice(), "{n} bytes were taken");
            }
            Act::Consume(part) => {
                let n = part.index(self.model.len() + 1);
                self.real.consume(n);
                self.model.drain(..n);
            }
            Act::Shrink => self.real.shrink(),
            Act::PutInFront(n) => {
                let front = bytes.take(*n);
                self.real.put_in_front(&front);
                self.model.splice(..0, front);
            }
            Act::MoveTo(max) => {
                let n = self.real.move_to(&mut other.real, *max);
                assert!(n <= *max && (n > 0 || *max == 0 || self.model.is_empty()));
                other.model.extend(self.model.drain(..n));
            }
            Act::Find { delimiter, max } => self.find(delimiter, *max),
            Act::Queue(_) => {}
        }
        assert!(self.real.data() == self.model, "{:?}", self.model.len());
        assert_eq!(self.real.len(), self.model.len());
    }

    fn receive(&mut self, bytes: &mut Bytewise, max: usize, part: &Index) {
        let received = self.real.receive(max, |room| {
            assert!((1..=max).contains(&room.len()), "room for {} bytes", room.len());
            let received = bytes.take(part.index(room.len()) + 1);
            room[..received.len()].copy_from_slice(&received);
            (received.len(), received)
        });
        self.model.extend(received);
    }

    /// A read that searches, and then one that goes on from there.
    fn find(&mut self, delimiter: &[u8], max: usize) {
        let shown = &self.model[..max.min(self.model.len())];
        let at = shown.windows(delimiter.len()).position(|window| window == delimiter);
        let expected = at.map(|at| at + delimiter.len());
        let mut searched = 0;
        for _ in 0..2 {
            assert_eq!(self.real.find(delimiter, max, &mut searched), expected, "{delimiter:?}");
        }
    }
}

proptest! {
    #![proptest_config(config())]

    // IOS-36
    #[test]
    fn bytes_leave_in_order_for_every_mix_of_pieces_and_advances(
        steps in vec((push(), size(), any::<Index>()), 0..40),
        seed in any::<u32>(),
    ) {
        let (mut queue, mut model, mut bytes) = (WriteQueue::default(), Vec::new(), Bytewise(seed));
        for (push, max, part) in steps {
            match push {
                Push::Borrowed(n) => {
                    let pushed = bytes.take(n);
                    push_borrowed(&mut queue, &pushed);
                    model.extend(pushed);
                }
                Push::Owned(n) => {
                    let pushed = bytes.take(n);
                    model.extend_from_slice(&pushed);
                    drop(queue.push_piece(pushed.into()));
                }
                Push::Queue(borrowed, owned) => {
                    let (mut other, borrowed) = (WriteQueue::default(), bytes.take(borrowed));
                    push_borrowed(&mut other, &borrowed);
                    let owned = bytes.take(owned);
                    model.extend(borrowed);
                    model.extend_from_slice(&owned);
                    drop(other.push_piece(owned.into()));
                    queue.append(other);
                }
            }
            prop_assert_eq!(queue.len(), model.len());
            let shown = visible(&queue, max);
            prop_assert!(shown.len() <= max && model.starts_with(&shown));
            prop_assert!(!shown.is_empty() || max == 0 || model.is_empty(), "nothing to send");
            let sent = part.index(shown.len() + 1);
            queue.advance(sent);
            model.drain(..sent);
            prop_assert_eq!(queue.is_empty(), model.is_empty());
        }
        while !model.is_empty() {
            let shown = visible(&queue, usize::MAX);
            prop_assert!(!shown.is_empty() && model.starts_with(&shown));
            queue.advance(shown.len());
            model.drain(..shown.len());
        }
        prop_assert!(queue.is_empty());
    }

    // I9, IOS-28
    #[test]
    fn buffers_that_share_a_pool_keep_their_bytes(
        acts in vec((any::<bool>(), act()), 0..40),
        seed in any::<u32>(),
    ) {
        let (mut one, mut other) = (Buffer::default(), Buffer::default());
        let (mut queue, mut queued) = (WriteQueue::default(), Vec::new());
        let mut bytes = Bytewise(seed);
        for (is_first, act) in &acts {
            match act {
                Act::Queue(Some(n)) => {
                    let written = bytes.take(*n);
                    push_borrowed(&mut queue, &written);
                    queued.extend(written);
                }
                Act::Queue(None) => {
                    queue.advance(queued.len());
                    queued.clear();
                }
                act if *is_first => one.act(&mut other, &mut bytes, act),
                act => other.act(&mut one, &mut bytes, act),
            }
            prop_assert!(one.real.data() == one.model && other.real.data() == other.model);
            prop_assert!(visible(&queue, usize::MAX) == queued);
        }
    }
}
