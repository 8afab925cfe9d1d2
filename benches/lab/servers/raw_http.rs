//! The floor over HTTP: it counts requests and sends fixed answers.

use memchr::memmem::Finder;

use crate::exchange::Exchange;
use crate::service::{BODY, CHUNK, HELLO, Service};

pub(super) struct Http {
    /// Finds the ends of requests without a body. Every request comes whole.
    finder: Finder<'static>,
    /// The length of a request with a body, which may come in parts.
    upload_len: Option<usize>,
    /// As many answers as one write sends at most.
    answers: Vec<u8>,
    answer_len: usize,
    /// Whether a connection ends with its first answer.
    pub(super) closes: bool,
}

impl Http {
    pub(super) fn new(service: Service) -> Http {
        let is_upload = service == Service::HttpEcho;
        let body = match service {
            Service::HttpEcho | Service::HttpLarge => "x".repeat(BODY),
            _ => HELLO.to_owned(),
        };
        let closes = service == Service::HttpClose;
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Date: Sat, 28 Nov 2026 12:00:00 GMT\r\nContent-Length: {}\r\n{}\r\n{body}",
            body.len(),
            if closes { "Connection: close\r\n" } else { "" },
        );
        let answers = answer.repeat(CHUNK / answer.len()).into();
        Http {
            finder: Finder::new(b"\r\n\r\n"),
            upload_len: is_upload.then(|| Exchange::HttpEcho.one_request().len()),
            answers,
            answer_len: answer.len(),
            closes,
        }
    }

    /// Returns the answers to the requests that these bytes complete. `received` is the number of
    /// bytes of an incomplete request.
    pub(super) fn answers(&self, received: &mut usize, bytes: &[u8]) -> &[u8] {
        let requests = match self.upload_len {
            None => self.finder.find_iter(bytes).count(),
            Some(length) => {
                *received += bytes.len();
                let requests = *received / length;
                *received %= length;
                requests
            }
        };
        &self.answers[..requests * self.answer_len]
    }
}
