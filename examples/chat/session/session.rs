//! Serves one WebSocket: reads the client's messages, and sends it what is in its queue.
//!
//! ```text
//!   run ─▶ arm the timer ─▶ wait for an event ◀─────────────────────────┐
//!                             │                                          │
//!                             ├─ the queue has an ending ─▶ close        │
//!                             ├─ a text ─▶ hello, or a message to submit ┤
//!                             ├─ a ping or pong ─▶ counted ──────────────┤
//!                             └─ the timer ─▶ send a ping, or cut off ───┘
//! ```
//!
//! One task does both directions. While it waits for the client to take bytes, it goes on reading;
//! and a client that sends too fast is simply not read for a while, so TCP slows it down.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use async_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};
use futures_util::{Sink, SinkExt, Stream};
use squall_net::{AsyncRead, AsyncWrite, IoStream, Sleep, now, sleep, timeout};

use crate::chat::{Chat, Membership};
use crate::limits::Limits;
use crate::person::Person;
use crate::room::room::Known;
use crate::session::token_bucket::TokenBucket;
use crate::wire::ending::Ending;
use crate::wire::protocol::{FromClient, ToClient, is_id, refusal};
use crate::wire::send_queue::SendQueue;

/// The bytes that are read at once. The buffer is allocated for each client.
const READ_BUFFER: usize = 4 << 10;
/// The bytes of frames that are gathered for one write.
const WRITE_BUFFER: usize = 16 << 10;
/// The most bytes of frames that are given to the WebSocket and not yet to the stream. Only one frame
/// and the pongs come on top of [`WRITE_BUFFER`].
const MAX_WRITE_BUFFER: usize = 256 << 10;
/// The most bytes that are read and discarded from a client after a close.
const MAX_LINGER: usize = 1 << 20;

/// Serves a client that wants to be in the room with this name, until one of the two sides ends it.
///
/// # Errors
/// The client does not read, or does not answer. The stream is to be reset.
pub(crate) async fn serve<S>(chat: &Chat, room: &str, stream: IoStream<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let limits = *chat.limits();
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(limits.frame_bytes))
        .max_frame_size(Some(limits.frame_bytes));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    let entry = chat.enter();
    let begin = now();
    let mut session = Session {
        chat,
        room,
        limits,
        socket,
        queue: Rc::clone(entry.queue()),
        membership: None,
        needs_flush: false,
        owes_ping: false,
        messages: TokenBucket::new(limits.message_burst, limits.message_interval, begin),
        controls: TokenBucket::new(limits.control_burst, limits.control_interval, begin),
        heard: begin,
        pinged: begin,
        timer: sleep(limits.hello_timeout),
    };
    let ending = session.run().await;
    session.close(ending).await
}

struct Session<'a, S> {
    chat: &'a Chat,
    room: &'a str,
    limits: Limits,
    socket: WebSocketStream<IoStream<S>>,
    queue: Rc<SendQueue>,
    /// `None` before the client's hello.
    membership: Option<Membership>,
    /// Frames were given to the socket, and not all have left it.
    needs_flush: bool,
    /// A ping is to be sent.
    owes_ping: bool,
    messages: TokenBucket,
    controls: TokenBucket,
    /// When the last frame of the client was read; at first, when the session began.
    heard: Instant,
    /// When the last ping was sent; at first, when the session began.
    pinged: Instant,
    /// Armed for the next time at which something is due, before each wait.
    timer: Sleep,
}

enum Event {
    Text(Utf8Bytes),
    Control,
    Ending(Ending),
    /// Something may be due.
    Timer,
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Session<'_, S> {
    async fn run(&mut self) -> Ending {
        loop {
            self.arm();
            let outcome = match poll_fn(|cx| self.poll_event(cx)).await {
                Event::Text(text) => self.handle(&text),
                Event::Control => self.count_control(),
                Event::Timer => self.handle_due(),
                Event::Ending(ending) => Err(ending),
            };
            if let Err(ending) = outcome {
                return ending;
            }
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.queue.register(cx.waker());
        if let Some(ending) = self.queue.ending() {
            return Poll::Ready(Event::Ending(ending));
        }
        if let Poll::Ready(Err(_)) = self.poll_write(cx) {
            return Poll::Ready(Event::Ending(Ending::Left));
        }
        if self.may_read()
            && let Poll::Ready(read) = Pin::new(&mut self.socket).poll_next(cx)
        {
            self.heard = now();
            return Poll::Ready(match read {
                Some(Ok(Message::Text(text))) => Event::Text(text),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => Event::Control,
                Some(Ok(Message::Close(_))) | None => Event::Ending(Ending::Left),
                Some(Ok(_)) => {
                    Event::Ending(Ending::Close(CloseCode::Unsupported, "only text is understood"))
                }
                Some(Err(error)) => Event::Ending(Ending::of_read_error(&error)),
            });
        }
        ready!(Pin::new(&mut self.timer).poll(cx));
        Poll::Ready(Event::Timer)
    }

    /// Gives the queued frames to the socket as long as it takes them, and flushes it.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut socket = Pin::new(&mut self.socket);
        while self.owes_ping || !self.queue.is_empty() {
            ready!(socket.as_mut().poll_ready(cx))?;
            let message = match self.queue.pop() {
                Some(frame) => Message::Text(frame),
                None => {
                    self.owes_ping = false;
                    Message::Ping(Bytes::new())
                }
            };
            self.needs_flush = true;
            socket.as_mut().start_send(message)?;
        }
        if self.needs_flush {
            ready!(socket.poll_flush(cx))?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the client may send a message now.
    fn may_read(&self) -> bool {
        self.queue.unacknowledged() < self.limits.unacknowledged
            && self.messages.full_until(now()).is_none()
    }

    /// Arms the timer for the next time at which something is due.
    fn arm(&mut self) {
        let due = match &self.membership {
            None => self.pinged + self.limits.hello_timeout,
            Some(_) => {
                let ping = self.heard.max(self.pinged) + self.limits.ping_interval;
                ping.min(self.heard + self.limits.idle_timeout)
            }
        };
        let readable = self.messages.full_until(now());
        self.timer.reset(readable.map_or(due, |readable| readable.min(due)));
    }

    /// Does what is due: a ping, or the end of a client that gives no sign.
    fn handle_due(&mut self) -> Result<(), Ending> {
        let now = now();
        if self.membership.is_none() {
            let is_late = now >= self.pinged + self.limits.hello_timeout;
            return if is_late { Err(Ending::violation("no hello came")) } else { Ok(()) };
        }
        if now >= self.heard + self.limits.idle_timeout {
            return Err(Ending::Cut("the client gives no sign"));
        }
        if now >= self.heard.max(self.pinged) + self.limits.ping_interval {
            self.pinged = now;
            self.owes_ping = true;
        }
        Ok(())
    }

    fn count_control(&mut self) -> Result<(), Ending> {
        let now = now();
        if self.controls.full_until(now).is_some() {
            return Err(Ending::violation("too many pings"));
        }
        self.controls.count(now);
        self.needs_flush = true; // the socket has an answer to a ping
        Ok(())
    }

    fn handle(&mut self, text: &str) -> Result<(), Ending> {
        self.messages.count(now());
        match serde_json::from_str(text) {
            Ok(FromClient::Hello { name, token, history, since }) => {
                if self.membership.is_some() {
                    return Err(Ending::violation("the hello came twice"));
                }
                let person = Person::new(&name, &token, self.limits.name_chars);
                let person = person.map_err(Ending::violation)?;
                let known = history.zip(since);
                let known = known.map(|(history, since)| Known { history, since });
                self.membership = Some(self.chat.join(self.room, person, &self.queue, known)?);
                Ok(())
            }
            Ok(FromClient::Message { id, text }) => {
                let Some(membership) = &self.membership else {
                    return Err(Ending::violation("no hello came"));
                };
                if !is_id(&id) {
                    return Err(Ending::violation("the id is malformed"));
                }
                match refusal(&text, self.limits.text_bytes) {
                    Some(reason) => {
                        self.queue.push(ToClient::Refused { id: &id, reason }.frame());
                    }
                    None => membership.submit(id, text),
                }
                Ok(())
            }
            Err(_) => Err(Ending::violation("the message is malformed")),
        }
    }

    /// Ends the WebSocket. The client is out of the room before.
    async fn close(mut self, ending: Ending) -> io::Result<()> {
        log::debug!("a client of {}: {ending:?}", self.room);
        self.membership = None;
        let frame = match ending {
            Ending::Cut(why) => return Err(io::Error::new(io::ErrorKind::TimedOut, why)),
            Ending::Left => None,
            Ending::Close(code, reason) => {
                Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) })
            }
        };
        match timeout(self.limits.close_timeout, self.finish(frame)).await? {
            Ok(()) => {}
            // The client is gone. Nothing can be sent to it.
            Err(error) => log::debug!("a close was not completed: {error}"),
        }
        // Ends the stream at once: the client's answer to the close is read and thrown away.
        let mut stream = self.socket.into_inner();
        let _ = stream.linger(MAX_LINGER, self.limits.close_timeout).await; // it may be gone
        Ok(())
    }

    /// Sends what is queued and a close frame. With `None`, the client has sent its own, and the
    /// socket has the answer to it.
    async fn finish(&mut self, frame: Option<CloseFrame>) -> Result<(), Error> {
        let Some(frame) = frame else { return self.socket.flush().await };
        self.needs_flush = true; // or the answer to a ping would follow the close
        poll_fn(|cx| self.poll_write(cx)).await?;
        self.socket.send(Message::Close(Some(frame))).await
    }
}
