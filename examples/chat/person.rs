//! Who takes part: a name, and a tag that cannot be chosen.

use std::fmt::Write;
use std::rc::Rc;

use sha2::{Digest, Sha256};

/// The least and most characters of a token.
const TOKEN_CHARS: std::ops::RangeInclusive<usize> = 16..=128;

/// A person in a room. All windows of one browser are the same person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// Says that two messages are of the same person. Two people can have one name, and so the page
    /// shows the beginning of the tag beside it.
    pub(crate) tag: Rc<str>,
    pub(crate) name: Rc<str>,
}

impl Person {
    /// A person with this name. The browser makes the `token` at random and keeps it secret. Others
    /// see the tag, which is a hash of the token, so nobody can write with somebody else's tag.
    ///
    /// # Errors
    /// What is wrong with the name or the token.
    pub(crate) fn new(name: &str, token: &str, max_chars: usize) -> Result<Person, &'static str> {
        let name = checked_name(name, max_chars)?;
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !TOKEN_CHARS.contains(&token.len()) || !token.bytes().all(is_token) {
            return Err("the token is malformed");
        }
        let digest = Sha256::digest(token);
        let tag = digest[..8].iter().fold(String::new(), |mut tag, byte| {
            let _ = write!(tag, "{byte:02x}"); // writing to a string cannot fail
            tag
        });
        Ok(Person { tag: tag.into(), name: name.into() })
    }
}

/// The name without spaces around it.
fn checked_name(name: &str, max_chars: usize) -> Result<&str, &'static str> {
    let name = name.trim();
    if name.is_empty() {
        return Err("the name is empty");
    }
    if name.chars().count() > max_chars {
        return Err("the name is too long");
    }
    if name.chars().any(|char| char.is_control() || is_invisible(char)) {
        return Err("the name has characters that cannot be seen");
    }
    Ok(name)
}

/// Characters without a shape of their own, which make two names look alike, or turn the direction
/// of the text that follows.
fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn a_name_is_short_and_can_be_seen() {
        for (name, wanted) in
            [("Ada", "Ada"), ("  Zoë Ω 🦀 ", "Zoë Ω 🦀"), ("ääää ääää", "ääää ääää")]
        {
            assert_eq!(&*Person::new(name, TOKEN, 9).unwrap().name, wanted);
        }
        for bad in ["", "  ", "ten chars!", "a\nb", "a\0b", "\u{202e}adA", "A\u{200b}da", "\u{7f}"]
        {
            assert!(Person::new(bad, TOKEN, 9).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_tag_is_of_the_token_and_not_of_the_name() {
        let tag = |name, token| Person::new(name, token, 9).unwrap().tag;
        assert_eq!(tag("Ada", TOKEN), tag("Bob", TOKEN));
        assert_ne!(tag("Ada", TOKEN), tag("Ada", "0123456789abcdeg"));
        assert_eq!(tag("Ada", TOKEN).len(), 16);
        for bad in ["", "short", "0123456789abcdef ", &"a".repeat(129)] {
            assert!(Person::new("Ada", bad, 9).is_err(), "{bad:?}");
        }
    }
}
