//! What well-behaved clients ask for, and what they must get.

use std::time::Duration;

use crate::content;
use crate::records::failure::Kind;

/// The longest echoed body, in bytes.
const MAX_ECHO: usize = 64 << 10;
/// The longest streamed answer, in bytes.
const MAX_STREAM: usize = 256 << 10;

/// A request and the one right answer to it.
pub(crate) struct Request {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
    /// The decoded body of the answer, or its line.
    pub(crate) expected: Vec<u8>,
    /// The time that the right answer takes on purpose. It does not count as latency.
    pub(crate) own_time: Duration,
}

impl Request {
    fn new(kind: Kind, bytes: Vec<u8>, expected: Vec<u8>) -> Request {
        Request { kind, bytes, expected, own_time: Duration::ZERO }
    }

    /// A random request. `file` has the bytes of the static file.
    pub(crate) fn random(random: &mut fastrand::Rng, file: &[u8]) -> Request {
        match random.u32(0..100) {
            0..40 => get(Kind::Hello, "/hello", b"Hello, World!"),
            40..55 => {
                let len = random.usize(1..MAX_ECHO);
                Request::echo(random.u64(..), len)
            }
            55..65 => {
                let (seed, len) = (random.u64(..), random.usize(0..MAX_STREAM));
                Request::stream(seed, len)
            }
            65..70 => get(Kind::File, &format!("/files/{}", content::FILE_NAME), file),
            70..75 => {
                let count = random.u32(1..6);
                let expected: String = (0..count).map(content::event).collect();
                let request = get(Kind::Events, &format!("/events/{count}"), expected.as_bytes());
                Request { own_time: content::EVENT_PERIOD * count, ..request }
            }
            75..80 => Request::job(random.u64(..)),
            _ => {
                let len = random.usize(0..1000);
                let mut line: Vec<u8> = (0..len).map(|_| random.alphanumeric() as u8).collect();
                line.push(b'\n');
                Request::new(Kind::Line, line.clone(), line)
            }
        }
    }

    pub(crate) fn echo(seed: u64, len: usize) -> Request {
        let body = content::whole(seed, len);
        let head = format!("POST /echo HTTP/1.1\r\nHost: soak\r\nContent-Length: {len}\r\n\r\n");
        let bytes = [head.as_bytes(), &body].concat();
        Request::new(Kind::Echo, bytes, body)
    }

    pub(crate) fn stream(seed: u64, len: usize) -> Request {
        get(Kind::Stream, &format!("/stream/{seed}/{len}"), &content::whole(seed, len))
    }

    pub(crate) fn job(seed: u64) -> Request {
        get(Kind::Job, &format!("/job/{seed}"), content::job(seed).as_bytes())
    }

    pub(crate) fn hello() -> Request {
        get(Kind::Hello, "/hello", b"Hello, World!")
    }
}

fn get(kind: Kind, path: &str, expected: &[u8]) -> Request {
    let bytes = format!("GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n").into_bytes();
    Request::new(kind, bytes, expected.to_vec())
}
