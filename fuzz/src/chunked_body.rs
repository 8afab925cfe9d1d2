//! A chunked body: its bytes, its end, and how the input was split.
//!
//! The decoder gets the input piece by piece, and its caller takes the decoded bytes in portions.
//! However both are cut, the body, the bytes after it and the error are those that the
//! [reference](crate::reference_chunks) finds in the whole input.

use tiny_http::chunked::{ChunkError, ChunkLimits, ChunkStep, Chunked};

use crate::pieces::{Draw, digest, pieces};
use crate::reference_chunks;

/// Limits that a small input exceeds.
const LIMITS: ChunkLimits = ChunkLimits { body_bytes: 200, trailer_bytes: 64 };

/// What a server concludes from the bytes that it has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// The bytes before the end of the input, or before the error.
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After this many bytes of the input.
    Complete(usize),
    /// The input is too short.
    Incomplete,
    Malformed,
    BodyTooLarge,
    TrailersTooLarge,
}

/// Checks one input: the first bytes of a body.
///
/// # Panics
/// If the decoder is wrong.
pub fn check(input: &[u8]) {
    let expected = reference_chunks::decode(input, LIMITS);
    let seed = digest(input);
    for (most_pieces, most_taken) in [(1, usize::MAX), (8, 3), (usize::MAX, usize::MAX)] {
        let decoded = decode(&pieces(input, seed, most_pieces), &mut Draw::new(seed), most_taken);
        assert_eq!(decoded, expected, "in at most {most_pieces} pieces");
    }
}

/// Decodes a body that arrives in pieces, and takes at most `most` decoded bytes at once.
fn decode(arriving: &[&[u8]], draw: &mut Draw, most: usize) -> Decoded {
    let mut decoder = Chunked::new();
    let (mut body, mut buffer, mut consumed) = (Vec::new(), Vec::new(), 0);
    let mut arriving = arriving.iter();
    let end = loop {
        assert!(!decoder.is_done() || decoder.step(&buffer, LIMITS) == Ok(ChunkStep::Done));
        match decoder.step(&buffer, LIMITS) {
            Ok(ChunkStep::Data(found)) => {
                assert!((1..=buffer.len()).contains(&found), "{found} of {}", buffer.len());
                let taken = 1 + draw.below(found.min(most));
                body.extend(buffer.drain(..taken));
                consumed += taken;
                decoder.taken(taken);
            }
            Ok(ChunkStep::Framing(passed)) => {
                assert!((1..=buffer.len()).contains(&passed), "{passed} of {}", buffer.len());
                buffer.drain(..passed);
                consumed += passed;
            }
            Ok(ChunkStep::NeedsMore) => match arriving.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None => break End::Incomplete,
            },
            Ok(ChunkStep::Done) => break End::Complete(consumed),
            Err(ChunkError::Malformed(_)) => break End::Malformed,
            Err(ChunkError::BodyTooLarge) => break End::BodyTooLarge,
            Err(ChunkError::TrailersTooLarge) => break End::TrailersTooLarge,
        }
    };
    Decoded { body, end }
}
