//! A whole connection of the HTTP server: the same bytes, sent at once and in pieces.
//!
//! The server runs on a simulated host, so deadlines of seconds cost nothing. Of the two connections
//! it must be true:
//!
//! - The answers are equal, but for interim answers, dates and the framing of streamed bodies (H6).
//! - The handler got the requests that the [references](crate::reference_head) find in the bytes, and
//!   no other (H1 to H5).
//! - There is one answer to each, in order, and none after the one that ends the connection.
//! - The server ends the connection, and in an orderly way.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::stream;
use http::header::HeaderName;
use squall_net::sim::{NetConfig, Simulation};
use squall_net::{Bytes, IoStream, TcpStream, sleep, timeout};
use tiny_http::chunked::ChunkLimits;
use tiny_http::{Config, HandlerResult, HttpServer, Request, Response};

use crate::answers::{self, Answer, HANDLED};
use crate::chunked_body::End;
use crate::pieces::pieces;
use crate::request_head::{Accepted, MAX_BYTES, MAX_FIELDS};
use crate::script::Script;
use crate::{reference_chunks, reference_head};

/// The way of every packet.
const LATENCY: Duration = Duration::from_micros(10);
/// No connection may take longer.
const LIMIT: Duration = Duration::from_secs(300);
/// The most bytes of a body.
const MAX_BODY: u64 = 200;

/// A request, as the handler or a reference sees it: method, path, and the body if it is read whole.
type Seen = (String, String, Option<Vec<u8>>);

/// Checks one input: a byte of options, two bytes that say where to cut, and what the client sends.
///
/// # Panics
/// If the server is wrong.
pub fn check(input: &[u8]) {
    let mut script = Script::new(input);
    let options = script.byte();
    let (stays_open, bytewise) = (options & 1 != 0, options & 2 != 0);
    let seed = u64::from(script.number());
    let sent = script.rest();
    let most_pieces = if bytewise && sent.len() <= 64 { sent.len() } else { 6 };
    let whole = converse(&[sent], stays_open);
    let cut = converse(&pieces(sent, seed, most_pieces), stays_open);
    assert_eq!(cut.answers, whole.answers, "in pieces, and at once");
    assert_eq!(cut.seen, whole.seen, "in pieces, and at once");
    assert_eq!(whole.seen, expected(sent), "seen by the handler, and by the reference");
}

/// What came of a connection.
struct Conversation {
    answers: Vec<Answer>,
    /// The requests that the handler got.
    seen: Vec<Seen>,
}

/// Sends the pieces one by one, and reads until the server ends the connection.
fn converse(pieces: &[&[u8]], stays_open: bool) -> Conversation {
    let net = NetConfig::default().latency(LATENCY..LATENCY);
    let simulation = Simulation::with(1, net);
    let seen = Rc::<RefCell<Vec<Seen>>>::default();
    let seen_by_handler = Rc::clone(&seen);
    let server = simulation.host("server", move || serve(Rc::clone(&seen_by_handler)));
    let address = (server.ip(), 80);
    let received = simulation.block_on(async {
        let mut stream = IoStream::new(TcpStream::connect(address).await.expect("it listens"));
        for piece in pieces {
            let _ = stream.write(*piece); // the server may have ended the connection
            sleep(3 * LATENCY).await; // so that the piece arrives alone
        }
        if !stays_open {
            let _ = stream.shutdown().await;
        }
        let received = timeout(LIMIT, stream.read_until_close()).await;
        received.expect("the server ends the connection").expect("in an orderly way")
    });
    let seen = seen.take();
    Conversation { answers: in_order(&received, &seen), seen }
}

async fn serve(seen: Rc<RefCell<Vec<Seen>>>) -> io::Result<()> {
    let second = Duration::from_secs(1);
    let config = Config {
        max_head_bytes: MAX_BYTES,
        max_headers: MAX_FIELDS,
        max_body_bytes: MAX_BODY,
        head_timeout: 10 * second,
        body_timeout: 10 * second,
        idle_timeout: 10 * second,
        ..Config::default()
    };
    let server = HttpServer::new(config, async move |request: &mut Request<'_>| {
        let number = {
            let mut seen = seen.borrow_mut();
            seen.push((request.method().to_string(), request.path().to_owned(), None));
            seen.len() - 1
        };
        let response = handle(request, |body| seen.borrow_mut()[number].2 = Some(body)).await?;
        Ok(response.with(HeaderName::from_static(HANDLED), number.into()))
    });
    server.listen("0.0.0.0:80")?;
    server.closed().await
}

/// Answers in a way that the path chooses. Calls `read` with the body if it has read the whole.
async fn handle(request: &mut Request<'_>, read: impl FnOnce(Vec<u8>)) -> HandlerResult {
    match way(request.path()) {
        Way::Ignore => return Ok(Response::text("ignored")),
        Way::Begin => {
            request.next().await?;
            return Ok(Response::text("begun"));
        }
        Way::Wait => sleep(Duration::from_secs(1)).await,
        Way::Stream | Way::Echo => {}
    }
    let body = request.body().await?;
    read(body.to_vec());
    if let Way::Stream = way(request.path()) {
        let halves = [body.slice(..body.len() / 2), body.slice(body.len() / 2..)];
        let halves = halves.into_iter().filter(|half| !half.is_empty());
        return Ok(Response::stream(stream::iter(halves.map(Ok::<Bytes, io::Error>))));
    }
    Ok(Response::text(body))
}

/// What the handler does.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Leaves the body unread.
    Ignore,
    /// Reads the first piece of the body.
    Begin,
    /// Waits for a second, and returns the body.
    Wait,
    /// Returns the body in two pieces, without its length.
    Stream,
    /// Returns the body.
    Echo,
}

fn way(path: &str) -> Way {
    match path.as_bytes() {
        [b'/', b'i', ..] => Way::Ignore,
        [b'/', b'b', ..] => Way::Begin,
        [b'/', b'w', ..] => Way::Wait,
        [b'/', b's', ..] => Way::Stream,
        _ => Way::Echo,
    }
}

/// The answers. Checks that each is where it may be.
fn in_order(mut received: &[u8], seen: &[Seen]) -> Vec<Answer> {
    let (mut answers, mut handled) = (Vec::<Answer>::new(), 0);
    while !received.is_empty() {
        assert!(!answers.last().is_some_and(Answer::ends_connection), "more after the last answer");
        let is_head = |number: usize| seen.get(number).is_some_and(|(method, ..)| method == "HEAD");
        let answer = answers::take(&mut received, is_head);
        match answer.handled() {
            Some(number) => {
                assert_eq!(number, handled, "an answer is not in its place");
                handled += 1;
            }
            // The server itself refuses, or answers `OPTIONS *`.
            None => {
                let is_of_server = answer.status == 200 && answer.body.is_empty();
                assert!(is_of_server || answer.ends_connection(), "{answer:?}");
                assert_ne!(answer.status, 500, "the handler does not fail");
            }
        }
        answers.push(answer);
    }
    assert!(seen.len() - handled <= 1, "{} requests, {handled} answers", seen.len());
    answers
}

/// The requests that a handler must get, one after the other.
fn expected(sent: &[u8]) -> Vec<Seen> {
    let (mut rest, mut seen) = (sent, Vec::new());
    loop {
        let empty = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        rest = &rest[empty..];
        let Some(head) = reference_head::accept(rest) else { return seen };
        rest = &rest[head.length..];
        let (body, end) = read_body(&head, rest);
        let is_for_server = head.path == "*";
        let way = way(&head.path);
        let is_whole = matches!(end, End::Complete(_));
        let is_read = is_whole && !matches!(way, Way::Ignore | Way::Begin) && !is_for_server;
        if !is_for_server {
            seen.push((head.method, head.path, is_read.then_some(body)));
        }
        let End::Complete(length) = end else { return seen };
        let may_be_owed = head.expects_continue && length > 0;
        let is_unread = is_for_server || way == Way::Ignore;
        let ends_at_close = way == Way::Stream && head.minor == 0 && !is_for_server;
        if !head.keep_alive || (may_be_owed && is_unread) || ends_at_close {
            return seen;
        }
        rest = &rest[length..];
    }
}

/// The body after a head, and where it ends.
fn read_body(head: &Accepted, rest: &[u8]) -> (Vec<u8>, End) {
    match head.body {
        None => {
            let limits = ChunkLimits { body_bytes: MAX_BODY, trailer_bytes: MAX_BYTES };
            let decoded = reference_chunks::decode(rest, limits);
            (decoded.body, decoded.end)
        }
        Some(length) if length > MAX_BODY => (Vec::new(), End::BodyTooLarge),
        Some(length) => {
            let length = usize::try_from(length).expect("it is within the limit");
            match rest.get(..length) {
                Some(body) => (body.to_vec(), End::Complete(length)),
                None => (Vec::new(), End::Incomplete),
            }
        }
    }
}
