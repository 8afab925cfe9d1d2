//! What depends on time, on a clock that the test moves.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::protocol::Role;
use futures_util::StreamExt;
use squall_net::{Clock, DuplexStream, EventLoop, IoStream, JoinHandle, duplex, spawn};

use crate::chat::Chat;
use crate::limits::Limits;
use crate::session::session::serve;

type Socket = WebSocketStream<DuplexStream>;
type Session = JoinHandle<std::io::Result<()>>;

const HELLO: &str = r#"{"type":"hello","name":"Ada","token":"0123456789abcdef"}"#;

fn on_a_manual_clock(test: impl AsyncFnOnce(Clock)) {
    let clock = Clock::manual();
    let event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    event_loop.block_on(test(clock));
}

/// Begins a session, and waits until it waits. Returns the client's WebSocket.
async fn begin(clock: &Clock, limits: Limits) -> (Socket, Session) {
    let (here, there) = duplex(64 << 10);
    let chat = Chat::in_memory(limits);
    let session = spawn(async move { serve(&chat, "lobby", IoStream::new(there)).await });
    pass(clock, 0).await;
    (WebSocketStream::from_raw_socket(here, Role::Client, None).await, session)
}

/// Reads in a task of its own, which also answers pings. Returns what has come so far.
fn collect(mut socket: Socket) -> Rc<RefCell<Vec<String>>> {
    let collected = Rc::<RefCell<Vec<String>>>::default();
    let collecting = Rc::clone(&collected);
    spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            let line = match message {
                Message::Text(text) => text.to_string(),
                Message::Ping(_) => "ping".to_owned(),
                Message::Close(Some(frame)) => format!("close {}", frame.code),
                _ => continue,
            };
            collecting.borrow_mut().push(line);
        }
    });
    collected
}

async fn pass(clock: &Clock, seconds: u64) {
    clock.advance_and_settle(Duration::from_secs(seconds)).await;
}

#[test]
fn a_client_that_sends_too_fast_is_slowed_down_and_loses_nothing() {
    on_a_manual_clock(async |clock| {
        let interval = Duration::from_secs(1);
        let limits = Limits { message_burst: 3, message_interval: interval, ..Limits::default() };
        let (mut socket, _session) = begin(&clock, limits).await;
        socket.send(HELLO.into()).await.unwrap(); // counts too
        for number in 0..5 {
            let message = format!(r#"{{"type":"message","id":"{number}","text":"x"}}"#);
            socket.send(message.into()).await.unwrap();
        }
        let collected = collect(socket);
        let acknowledged =
            || collected.borrow().iter().filter(|it| it.contains(r#""ack""#)).count();
        for wanted in [2, 3, 4, 5, 5] {
            pass(&clock, 0).await;
            assert_eq!(acknowledged(), wanted);
            pass(&clock, 1).await;
        }
    });
}

#[test]
fn a_quiet_client_gets_pings_and_stays_as_long_as_it_answers() {
    on_a_manual_clock(async |clock| {
        let (mut socket, session) = begin(&clock, Limits::default()).await;
        socket.send(HELLO.into()).await.unwrap();
        let collected = collect(socket);
        pass(&clock, 0).await;
        collected.borrow_mut().clear();
        pass(&clock, 19).await;
        assert!(collected.borrow().is_empty(), "{collected:?}");
        for round in 1..=10 {
            pass(&clock, 1).await;
            assert_eq!(*collected.borrow(), vec!["ping"; round]);
            pass(&clock, 19).await;
        }
        assert!(!session.is_finished());
    });
}

#[test]
fn a_client_that_gives_no_sign_is_cut_off() {
    on_a_manual_clock(async |clock| {
        let (mut socket, session) = begin(&clock, Limits::default()).await;
        socket.send(HELLO.into()).await.unwrap();
        pass(&clock, 0).await;
        for _ in 0..59 {
            pass(&clock, 1).await;
        }
        assert!(!session.is_finished());
        pass(&clock, 1).await;
        assert!(session.is_finished());
        assert_eq!(session.await.unwrap().unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    });
}

#[test]
fn a_client_without_a_hello_is_sent_away() {
    on_a_manual_clock(async |clock| {
        let (socket, _session) = begin(&clock, Limits::default()).await;
        let collected = collect(socket);
        pass(&clock, 9).await;
        assert!(collected.borrow().is_empty(), "{collected:?}");
        pass(&clock, 1).await;
        assert_eq!(*collected.borrow(), ["close 1008"]);
    });
}

#[test]
fn a_client_that_does_not_answer_a_close_is_not_waited_for_long() {
    on_a_manual_clock(async |clock| {
        let (_socket, session) = begin(&clock, Limits::default()).await;
        pass(&clock, 10).await;
        pass(&clock, 1).await;
        assert!(!session.is_finished());
        pass(&clock, 1).await;
        assert!(session.is_finished());
    });
}
