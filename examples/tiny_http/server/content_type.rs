//! The type of a response's body.

use http::header::HeaderValue;

/// The value of the field Content-Type.
pub(crate) enum ContentType {
    Text,
    Html,
    Json,
    /// Boxed, because most responses have one of the others.
    Other(Box<HeaderValue>),
}

impl ContentType {
    /// Appends the field to the text of a head.
    #[inline]
    pub(crate) fn write_to(&self, text: &mut Vec<u8>) {
        match self {
            ContentType::Text => {
                text.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
            }
            ContentType::Html => {
                text.extend_from_slice(b"Content-Type: text/html; charset=utf-8\r\n");
            }
            ContentType::Json => text.extend_from_slice(b"Content-Type: application/json\r\n"),
            ContentType::Other(value) => {
                text.extend_from_slice(b"Content-Type: ");
                text.extend_from_slice(value.as_bytes());
                text.extend_from_slice(b"\r\n");
            }
        }
    }
}

impl From<HeaderValue> for ContentType {
    fn from(value: HeaderValue) -> ContentType {
        ContentType::Other(Box::new(value))
    }
}
