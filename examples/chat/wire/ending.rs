//! Why a session ends, and how.

use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The client has closed the WebSocket or the connection.
    Left,
    /// The client is told why, by a close frame.
    Close(CloseCode, &'static str),
    /// The client does not read, or is no longer there, so it cannot be told. The connection is
    /// reset.
    Cut(&'static str),
}

impl Ending {
    /// The client has broken a rule of the chat.
    pub(crate) const fn violation(why: &'static str) -> Ending {
        Ending::Close(CloseCode::Policy, why)
    }

    /// The ending after a read has failed (RFC 6455, 7.4.1).
    pub(crate) fn of_read_error(error: &Error) -> Ending {
        match error {
            Error::Capacity(_) => Ending::Close(CloseCode::Size, "the message is too large"),
            Error::Utf8(_) => Ending::Close(CloseCode::Invalid, "the text is not UTF-8"),
            Error::Protocol(
                async_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )
            | Error::Io(_)
            | Error::ConnectionClosed
            | Error::AlreadyClosed => Ending::Left,
            _ => Ending::Close(CloseCode::Protocol, "the frame is malformed"),
        }
    }
}
