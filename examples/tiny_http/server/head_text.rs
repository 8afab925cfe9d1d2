//! Writes the head of a response.

use http::StatusCode;

use crate::server::date::DateField;
use crate::server::response::{Payload, Persistence, Response};
use crate::server::streamed_body::StreamedBody;

/// The text of a response's head. One response after the other uses its memory.
#[derive(Default)]
pub(crate) struct HeadText {
    text: Vec<u8>,
    date: DateField,
}

impl HeadText {
    /// Writes the head of a response, in place of the former text. `minor` is the minor version of
    /// the request.
    pub(crate) fn write(&mut self, response: &Response, minor: u8, persistence: Persistence) {
        let HeadText { text, date } = self;
        text.clear();
        if response.status == StatusCode::OK {
            text.extend_from_slice(date.after_ok()); // by far the most frequent one
        } else {
            write_status_line(text, response.status);
            text.extend_from_slice(date.field());
        }
        match persistence {
            Persistence::Close => text.extend_from_slice(b"Connection: close\r\n"),
            Persistence::KeepAlive if minor == 0 => {
                text.extend_from_slice(b"Connection: Keep-Alive\r\n");
            }
            Persistence::KeepAlive => {}
        }
        if let (Some(content_type), true) = (&response.content_type, response.may_have_body()) {
            content_type.write_to(text);
        }
        for (name, value) in response.fields() {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        let length = match &response.body {
            _ if response.status == StatusCode::RESET_CONTENT => Some(0), // RFC 9110, 15.3.6
            _ if !response.may_have_body() => None,
            Payload::Whole(body) => Some(body.len() as u64),
            Payload::Streamed(StreamedBody { length: None, .. }) if minor > 0 => {
                text.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
                None
            }
            Payload::Streamed(body) => body.length,
            Payload::Takeover(_) => None,
        };
        if let Some(length) = length {
            text.extend_from_slice(b"Content-Length: ");
            text.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            text.extend_from_slice(b"\r\n\r\n");
        } else {
            text.extend_from_slice(b"\r\n");
        }
    }

    /// Appends the body, or its begin.
    pub(crate) fn append(&mut self, body: &[u8]) {
        self.text.extend_from_slice(body);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

fn write_status_line(into: &mut Vec<u8>, status: StatusCode) {
    into.extend_from_slice(b"HTTP/1.1 ");
    into.extend_from_slice(status.as_str().as_bytes());
    into.push(b' ');
    into.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    into.extend_from_slice(b"\r\n");
}
