//! The bytes that servers send and clients expect. Both sides compute them, so every answer can be
//! compared whole.

use std::time::Duration;

use bytes::Bytes;

/// The name of the static file.
pub(crate) const FILE_NAME: &str = "static.bin";
/// The bytes of the static file. Not a multiple of any buffer's size.
pub(crate) const FILE_LEN: usize = 300_001;
/// The seed of the static file's bytes.
const FILE_SEED: u64 = 0x5ca1_ab1e;
/// The bytes of a piece of a streamed answer. A multiple of eight, so that pieces made one by one are
/// the bytes that are made at once.
const PIECE: usize = 16 << 10;

/// The time between two events.
pub(crate) const EVENT_PERIOD: Duration = Duration::from_millis(10);

/// An endless sequence of bytes, which depends only on its seed.
pub(crate) struct Content {
    random: fastrand::Rng,
    left: usize,
}

impl Content {
    /// The first `len` bytes of the sequence.
    pub(crate) fn new(seed: u64, len: usize) -> Content {
        Content { random: fastrand::Rng::with_seed(seed), left: len }
    }

    /// The next piece; `None` after the last one.
    pub(crate) fn next_piece(&mut self) -> Option<Bytes> {
        if self.left == 0 {
            return None;
        }
        let mut piece = vec![0; self.left.min(PIECE)];
        self.random.fill(&mut piece);
        self.left -= piece.len();
        Some(piece.into())
    }
}

/// The bytes of [`Content`] at once.
pub(crate) fn whole(seed: u64, len: usize) -> Vec<u8> {
    let mut content = Content::new(seed, len);
    let mut bytes = Vec::with_capacity(len);
    while let Some(piece) = content.next_piece() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// The bytes of the static file.
pub(crate) fn file() -> Vec<u8> {
    whole(FILE_SEED, FILE_LEN)
}

/// The event with this number, as `text/event-stream` has it.
pub(crate) fn event(number: u32) -> String {
    format!("id: {number}\ndata: event {number} of the stream\n\n")
}

/// The result of the job with this seed: a hash that takes some time to compute.
pub(crate) fn job(seed: u64) -> String {
    let mut state = seed;
    for _ in 0..10_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^= state >> 29;
    }
    format!("{state:016x}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_depends_on_its_seed_only_and_has_its_length() {
        for len in [0, 1, PIECE, PIECE + 1, 3 * PIECE + 7] {
            assert_eq!(whole(7, len).len(), len);
            assert_eq!(whole(7, len), whole(7, len));
        }
        assert_ne!(whole(7, 100), whole(8, 100));
        assert!(whole(7, 3 * PIECE).starts_with(&whole(7, PIECE)));
    }
}
