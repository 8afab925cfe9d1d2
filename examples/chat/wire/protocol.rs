//! The messages of the chat, which are JSON objects in text frames.
//!
//! ```text
//!   client                                   server
//!   hello: name, token, what it has  ──▶
//!                                    ◀──  welcome: who is here, and what follows
//!                                    ◀──  message … (those that the client has not)
//!   message: id, text                ──▶
//!                                    ◀──  message: number, id, tag, name, text, time
//!                                    ◀──  ack: id      (or refused: id, reason)
//!                                    ◀──  joined, left, storage
//! ```

use async_tungstenite::tungstenite::Utf8Bytes;
use serde::{Deserialize, Serialize};

/// The most bytes of a message's id.
const MAX_ID_BYTES: usize = 64;

/// What a client sends.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromClient {
    /// The first message.
    Hello {
        name: String,
        token: String,
        /// Which history the client has messages of, and up to which number. Missing if it has none.
        history: Option<String>,
        since: Option<u64>,
    },
    Message {
        id: String,
        text: String,
    },
}

/// What the server sends.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ToClient<'a> {
    Welcome {
        room: &'a str,
        tag: &'a str,
        name: &'a str,
        /// The name of this history. The numbers of two histories have nothing to do with each other.
        history: &'a str,
        /// Whether what follows continues what the client has. If not, the client has to forget that.
        continues: bool,
        /// Whether there were older messages, which the client does not get.
        has_older: bool,
        /// How many messages follow.
        messages: usize,
        /// The most bytes of a text.
        text_bytes: usize,
        people: Vec<PersonHere<'a>>,
    },
    Message(SentMessage<'a>),
    /// The message with this id is safe.
    Ack {
        id: &'a str,
    },
    /// The message with this id can never be accepted.
    Refused {
        id: &'a str,
        reason: &'static str,
    },
    Joined(PersonHere<'a>),
    Left {
        tag: &'a str,
    },
    /// Whether messages can be stored now. When they can again, the client sends all that was not
    /// acknowledged once more.
    Storage {
        available: bool,
    },
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct PersonHere<'a> {
    pub(crate) tag: &'a str,
    pub(crate) name: &'a str,
}

/// A message as all clients get it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct SentMessage<'a> {
    /// Larger than those of all messages before it.
    pub(crate) number: u64,
    pub(crate) id: &'a str,
    pub(crate) tag: &'a str,
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
    /// Milliseconds since 1970.
    pub(crate) time: i64,
}

impl ToClient<'_> {
    /// The text frame with this message.
    pub(crate) fn frame(&self) -> Utf8Bytes {
        serde_json::to_string(self).expect("strings and numbers are always JSON").into()
    }
}

/// Whether a client may choose this id. Such an id is short and needs no escapes.
pub(crate) fn is_id(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.bytes().all(is_allowed)
}

/// What is wrong with a text, if anything.
pub(crate) fn refusal(text: &str, max_bytes: usize) -> Option<&'static str> {
    // PostgreSQL cannot store a NUL, and a terminal would obey the other control characters.
    let is_forbidden = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    if text.trim().is_empty() {
        Some("the message is empty")
    } else if text.len() > max_bytes {
        Some("the message is too long")
    } else if text.contains(is_forbidden) {
        Some("the message has control characters")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_cannot_be_stored_or_shown_is_refused() {
        for good in ["a", "a\nb\tc", "<script>", "🦀", "12345678"] {
            assert_eq!(refusal(good, 8), None, "{good:?}");
        }
        for bad in ["", " \n", "123456789", "a\0b", "a\x1b[31m", "a\rb", "\u{85}"] {
            assert!(refusal(bad, 8).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn an_id_is_short_and_plain() {
        for good in ["a", "7f3a-01", "A_b.c:9", &"x".repeat(64)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "a b", "\"", "ä", "a\0", &"x".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn frames_are_flat_objects_with_a_type() {
        let message =
            SentMessage { number: 7, id: "i", tag: "t", name: "Ada", text: "\"<\n", time: 1 };
        assert_eq!(
            ToClient::Message(message).frame(),
            r#"{"type":"message","number":7,"id":"i","tag":"t","name":"Ada","text":"\"<\n","time":1}"#
        );
        let hello = r#"{"type":"hello","name":"Ada","token":"x"}"#;
        assert!(matches!(
            serde_json::from_str(hello).unwrap(),
            FromClient::Hello { history: None, since: None, .. }
        ));
        assert!(serde_json::from_str::<FromClient>(r#"{"type":"leave"}"#).is_err());
    }
}
