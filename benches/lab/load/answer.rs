//! Checks the answers of a server as they come.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::{WATCHDOG, connect, ended};
use crate::exchange::Exchange;

/// How every answer over HTTP begins.
const SUCCESS: &[u8] = b"HTTP/1.1 200 ";
const REFUSAL: &[u8] = b"HTTP/1.1 503 ";

/// What every answer of a run has to be: a success, and as long as the first one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    len: usize,
    /// The first bytes. Empty if the answer has no status.
    begin: &'static [u8],
}

/// How much of the answers of one connection has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Requests that are not answered yet.
    pub(super) outstanding: u64,
    /// The bytes of an incomplete answer. Zero if no request is outstanding.
    received: usize,
}

impl Progress {
    /// Nothing has come of the answers to this number of requests.
    pub(super) fn new(outstanding: u64) -> Progress {
        Progress { outstanding, received: 0 }
    }
}

impl Answer {
    /// Reads one answer and checks its status, its length and its body. Every later answer over
    /// HTTP is as long, because its date is.
    ///
    /// A server that listens anew, as may_minihttp does, refuses or resets connections for a
    /// moment.
    pub(super) fn first(address: SocketAddr, exchange: Exchange) -> io::Result<Answer> {
        let Some(body) = exchange.http_body() else {
            return Ok(Answer { len: exchange.request().len(), begin: b"" });
        };
        let request = exchange.one_request();
        let since = Instant::now();
        loop {
            let len = connect(address).and_then(|mut socket| {
                socket.set_read_timeout(Some(WATCHDOG))?;
                socket.write_all(&request)?;
                http_answer_len(&mut socket, &body)
            });
            match len {
                Err(error) if is_too_early(&error) && since.elapsed() < WATCHDOG => {
                    thread::sleep(Duration::from_millis(20));
                }
                len => return Ok(Answer { len: len?, begin: SUCCESS }),
            }
        }
    }

    /// Checks the next bytes of a connection. Returns the number of answers that they complete.
    ///
    /// # Errors
    /// An answer is no success, or the server has sent bytes without a request. An answer of
    /// another length fails too: it moves the begin of the next one, or its end never comes.
    pub(super) fn check(&self, progress: &mut Progress, mut bytes: &[u8]) -> io::Result<u64> {
        let mut complete = 0;
        while !bytes.is_empty() {
            if progress.outstanding == 0 {
                return Err(io::Error::other("an answer is longer than the first"));
            }
            let (part, rest) = bytes.split_at(bytes.len().min(self.len - progress.received));
            let begin = self.begin.get(progress.received..).unwrap_or_default();
            let compared = begin.len().min(part.len());
            if part[..compared] != begin[..compared] {
                let text = String::from_utf8_lossy(&part[..part.len().min(80)]);
                return Err(io::Error::other(format!("the server has answered {text:?}")));
            }
            progress.received += part.len();
            if progress.received == self.len {
                progress.received = 0;
                progress.outstanding -= 1;
                complete += 1;
            }
            bytes = rest;
        }
        Ok(complete)
    }
}

/// Whether these bytes are an answer with the status 503.
///
/// # Errors
/// It is not whole. Servers send such a short answer at once, and loopback does not cut it.
pub(super) fn is_refusal(bytes: &[u8]) -> io::Result<bool> {
    if !bytes.starts_with(REFUSAL) {
        return Ok(false);
    }
    let end = memchr::memmem::find(bytes, b"\r\n\r\n").map(|end| end + 4);
    let whole_len = end.and_then(|end| Some(end + content_length(&bytes[..end])?));
    if whole_len == Some(bytes.len()) {
        Ok(true)
    } else {
        Err(io::Error::other("a refusal is not whole"))
    }
}

/// The value of Content-Length in the head of an answer.
fn content_length(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    length.trim().parse().ok()
}

fn is_too_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// Reads one answer of HTTP with this body, and returns its length.
fn http_answer_len(socket: &mut impl Read, body: &[u8]) -> io::Result<usize> {
    let (mut answer, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
    let mut whole_len = None;
    while whole_len.is_none_or(|whole_len| answer.len() < whole_len) {
        match socket.read(&mut chunk)? {
            0 => return Err(ended()),
            n => answer.extend_from_slice(&chunk[..n]),
        }
        if whole_len.is_none()
            && let Some(end) = memchr::memmem::find(&answer, b"\r\n\r\n")
        {
            let head = &answer[..end];
            if !head.starts_with(SUCCESS) || content_length(head) != Some(body.len()) {
                let head = String::from_utf8_lossy(head);
                return Err(io::Error::other(format!("the server has answered {head:?}")));
            }
            whole_len = Some(end + 4 + body.len());
        }
    }
    if answer.ends_with(body) && whole_len == Some(answer.len()) {
        Ok(answer.len())
    } else {
        Err(io::Error::other("the server has answered with another body"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nabcHTTP/1.1 200 OK\r\n\r\ndef";
    const ANSWER: Answer = Answer { len: ANSWERS.len() / 2, begin: SUCCESS };

    #[test]
    fn answers_are_counted_however_they_are_split() {
        for first in 0..ANSWERS.len() {
            for second in first..ANSWERS.len() {
                let mut progress = Progress::new(2);
                let parts = [&ANSWERS[..first], &ANSWERS[first..second], &ANSWERS[second..]];
                let complete = parts.map(|part| ANSWER.check(&mut progress, part).unwrap());
                assert_eq!(complete.iter().sum::<u64>(), 2, "{parts:?}");
                assert_eq!((progress.outstanding, progress.received), (0, 0));
            }
        }
    }

    #[test]
    fn an_answer_that_is_no_success_is_an_error_wherever_it_is_split() {
        let failed = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
        for split in 0..failed.len() {
            let mut progress = Progress::new(2);
            let (first, second) = failed.split_at(split);
            let checked = ANSWER
                .check(&mut progress, first)
                .and_then(|_| ANSWER.check(&mut progress, second));
            assert!(checked.is_err(), "{split}");
        }
    }

    #[test]
    fn a_shorter_or_longer_answer_is_an_error() {
        for length in [ANSWER.len - 1, ANSWER.len + 1] {
            let answer = Answer { len: length, ..ANSWER };
            let mut progress = Progress::new(2);
            let checked = answer.check(&mut progress, ANSWERS);
            assert!(checked.is_err() || progress.outstanding > 0, "{length}");
        }
        let mut progress = Progress::new(1);
        assert!(ANSWER.check(&mut progress, ANSWERS).is_err(), "one was not asked for");
    }

    #[test]
    fn the_first_answer_is_read_to_the_end_of_its_body() {
        let len = |text: &str, body| http_answer_len(&mut text.as_bytes(), body);
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(len(text, b"abc").unwrap(), text.len());
        assert!(len(text, b"abd").is_err());
        assert!(len(text, b"ab").is_err());
        assert!(len(&text.replace("200", "404"), b"abc").is_err());
        assert!(len(&text[..text.len() - 1], b"abc").is_err());
        assert!(len(&format!("{text}d"), b"abc").is_err());
    }
}
