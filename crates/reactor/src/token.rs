//! The 64 bits that a registration gives to epoll and that epoll returns with every event.

use std::fmt;

/// Identifies one registration in a [`Reactor`](crate::Reactor), and never a later one.
///
/// A token is the index of a slot in the reactor's slab, plus the generation that the slot got when
/// it was filled. When the slot is filled again, an old token matches nothing, nor does an event
/// that still carries the old token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token {
    index: u32,
    generation: u32,
}

impl Token {
    /// The eventfd's token. The slab never grows to this index.
    pub(crate) const NOTIFIER: Token = Token { index: u32::MAX, generation: u32::MAX };

    pub(crate) fn new(index: u32, generation: u32) -> Token {
        Token { index, generation }
    }

    pub(crate) fn from_bits(bits: u64) -> Token {
        let [a, b, c, d, e, f, g, h] = bits.to_ne_bytes();
        Token {
            index: u32::from_ne_bytes([a, b, c, d]),
            generation: u32::from_ne_bytes([e, f, g, h]),
        }
    }

    pub(crate) fn to_bits(self) -> u64 {
        let [a, b, c, d] = self.index.to_ne_bytes();
        let [e, f, g, h] = self.generation.to_ne_bytes();
        u64::from_ne_bytes([a, b, c, d, e, f, g, h])
    }

    pub(crate) fn index(self) -> usize {
        self.index as usize
    }

    pub(crate) fn generation(self) -> u32 {
        self.generation
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}v{})", self.index, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_way_through_epoll() {
        for token in [Token::new(0, 0), Token::new(7, 3), Token::new(u32::MAX - 1, u32::MAX)] {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
    }
}
