//! The opening handshake of the chat's WebSockets: who gets one, and with which key.
//!
//! The answer is the one that RFC 6455, 4.2, and the rules of the chat for rooms and origins demand of
//! the [head](crate::reference_head) that was sent, and the connection ends, whatever follows the
//! head. Only the answer to the first request is looked at.

use std::io;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use squall_chat::{Chat, Limits, application};
use squall_net::sim::{NetConfig, Simulation};
use squall_net::{IoStream, TcpStream, timeout};
use tiny_http::{Config, HttpServer};

use crate::answers::{self, Answer};
use crate::pieces::{digest, pieces};
use crate::reference_head;
use crate::request_head::{Accepted, MAX_BYTES, MAX_FIELDS};

const LATENCY: Duration = Duration::from_micros(10);
/// No connection may take longer.
const LIMIT: Duration = Duration::from_secs(600);
/// What RFC 6455 appends to a key.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Checks one input: what a client sends.
///
/// # Panics
/// If the chat is wrong.
pub fn check(input: &[u8]) {
    let Some(head) = reference_head::accept(input) else { return };
    let received = converse(&pieces(input, digest(input), 4));
    let (answer, _) = answers::take_head(&mut &received[..]);
    assert_ne!(answer.status, 500, "{answer:?}");
    match expected(&head) {
        Some(101) => check_accepted(&head, &answer),
        Some(status) => assert_eq!(answer.status, status, "{head:?}: {answer:?}"),
        None => assert_ne!(answer.status, 101, "{head:?}"),
    }
}

/// Sends the pieces to a new chat, and returns what came until the chat has ended the connection.
fn converse(pieces: &[&[u8]]) -> Vec<u8> {
    let net = NetConfig::default().latency(LATENCY..LATENCY);
    let simulation = Simulation::with(1, net);
    let server = simulation.host("server", serve);
    let address = (server.ip(), 80);
    simulation.block_on(async {
        let mut stream = IoStream::new(TcpStream::connect(address).await.expect("it listens"));
        for piece in pieces {
            let _ = stream.write(*piece); // the server may have ended the connection
            squall_net::sleep(3 * LATENCY).await; // so that the piece arrives alone
        }
        let _ = stream.shutdown().await;
        // A WebSocket may end in a reset.
        let end = async { while stream.fill().await.is_ok_and(|n| n > 0) {} };
        timeout(LIMIT, end).await.expect("the server ends the connection");
        stream.buffer().to_vec()
    })
}

async fn serve() -> io::Result<()> {
    let config = Config { max_head_bytes: MAX_BYTES, max_headers: MAX_FIELDS, ..Config::default() };
    let server = HttpServer::new(config, application(&Chat::in_memory(Limits::default())));
    server.listen("0.0.0.0:80")?;
    server.closed().await
}

/// The status of the answer. `None` for anything but 101: the request is not for a WebSocket.
fn expected(head: &Accepted) -> Option<u16> {
    let room = head.path.strip_prefix("/room/")?.strip_suffix("/socket")?;
    if head.method != "GET" || room.contains(['/', '%']) {
        return None;
    }
    let is_room = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=32).contains(&room.len()) || !room.bytes().all(is_room) {
        return Some(404);
    }
    // RFC 6455, 11.3: each of them must not be repeated. Neither must Origin, RFC 6454, 7.3.
    let singles = ["sec-websocket-version", "sec-websocket-key", "origin"];
    let [version, key, origin] = singles.map(|name| single(head, name));
    let (Ok(version), Ok(key), Ok(origin)) = (version, key, origin) else { return Some(400) };
    if version != Some(b"13") {
        return Some(426);
    }
    let is_key = |key: &[u8]| {
        let decoded = STANDARD.decode(key);
        decoded.is_ok_and(|bytes| bytes.len() == 16) || is_key_with_spare_bits(key)
    };
    if !key.is_some_and(is_key) {
        return Some(400);
    }
    let host = values(head, "host").first().copied().unwrap_or_default();
    // Browsers write the scheme in lower case.
    let is_of_host = |origin: &[u8]| {
        let site = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        site.is_some_and(|site| site.eq_ignore_ascii_case(host))
    };
    if origin.is_some_and(|origin| !is_of_host(origin)) {
        return Some(403);
    }
    if head.minor == 0
        || !lists(head, "upgrade", b"websocket")
        || !lists(head, "connection", b"upgrade")
    {
        return Some(426);
    }
    Some(if head.body == Some(0) { 101 } else { 400 })
}

/// Whether the last digit of a key has bits that stand for nothing. Few encoders set them, and a
/// server need not look at them.
fn is_key_with_spare_bits(key: &[u8]) -> bool {
    let Some(digits) = key.strip_suffix(b"==") else { return false };
    let plain = [&digits[..digits.len().saturating_sub(1)], b"A=="].concat();
    let last =
        digits.last().is_some_and(|digit| digit.is_ascii_alphanumeric() || b"+/".contains(digit));
    last && STANDARD.decode(plain).is_ok_and(|bytes| bytes.len() == 16)
}

fn check_accepted(head: &Accepted, answer: &Answer) {
    let key = values(head, "sec-websocket-key")[0];
    let mut digest = Sha1::new();
    digest.update(key);
    digest.update(GUID);
    assert_eq!(answer.status, 101, "{head:?}: {answer:?}");
    assert_eq!(answer.field("sec-websocket-accept"), Some(&*STANDARD.encode(digest.finalize())));
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("connection"), Some("Upgrade"));
    assert_eq!(answer.field("content-length"), None);
}

fn values<'a>(head: &'a Accepted, name: &str) -> Vec<&'a [u8]> {
    let named = head.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    named.map(|(_, value)| value.as_slice()).collect()
}

/// The value of a field that must not be repeated.
fn single<'a>(head: &'a Accepted, name: &str) -> Result<Option<&'a [u8]>, usize> {
    match values(head, name)[..] {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        ref several => Err(several.len()),
    }
}

fn lists(head: &Accepted, name: &str, option: &[u8]) -> bool {
    let values = values(head, name);
    let mut options = values.iter().flat_map(|value| value.split(|byte| *byte == b','));
    options.any(|other| other.trim_ascii().eq_ignore_ascii_case(option))
}
