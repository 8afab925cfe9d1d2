//! Where bytes are cut.

/// Draws numbers. Equal seeds give equal numbers.
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Draw {
        Draw(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`; 0 if that is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default().checked_rem(bound).unwrap_or_default()
    }
}

/// A number that depends on every byte of the input: a seed for inputs that have none.
pub(crate) fn digest(input: &[u8]) -> u64 {
    input.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3) // FNV-1a
    })
}

/// Cuts `bytes` into at most `most` pieces, of which many are short.
pub(crate) fn pieces(mut bytes: &[u8], seed: u64, most: usize) -> Vec<&[u8]> {
    let mut draw = Draw::new(seed);
    let mut pieces = Vec::new();
    while !bytes.is_empty() && pieces.len() + 1 < most {
        let longest = if draw.below(2) == 0 { 4 } else { bytes.len() };
        let (piece, rest) = bytes.split_at(1 + draw.below(longest.min(bytes.len())));
        pieces.push(piece);
        bytes = rest;
    }
    if !bytes.is_empty() {
        pieces.push(bytes);
    }
    pieces
}
