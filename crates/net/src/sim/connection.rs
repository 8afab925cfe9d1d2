//! The two ends of a simulated TCP connection: what each has received, and what its next call
//! returns. It knows no clock and no network; the [wire](super::wire) carries its packets.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use crate::sim::flight::Flight;
use crate::sim::trace::Content;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

pub(crate) struct Connection {
    client: End,
    server: End,
}

pub(crate) struct End {
    /// The number of its host.
    pub(crate) host: usize,
    pub(crate) address: SocketAddr,
    /// How often the host had lost its power when this end was made. `None` before the server's
    /// host knows of the connection.
    pub(crate) crashes: Cell<Option<u64>>,
    /// The number of the listening socket that was asked for the connection. `None` at the client's
    /// end.
    pub(crate) listener: Cell<Option<u64>>,
    flight: RefCell<Flight>,
    state: RefCell<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Open,
    /// The socket was dropped. The kernel still sends what it has.
    Closed,
}

struct State {
    phase: Phase,
    received: VecDeque<Bytes>,
    /// The bytes in `received`.
    unread: usize,
    /// The bytes that were read since the peer was last told of the room.
    read_since_told: usize,
    has_end: bool,
    /// Whether the peer has got the end of this direction.
    has_peer_end: bool,
    /// The error that the next call returns.
    error: Option<i32>,
    /// Nothing is sent or received any more.
    is_dead: bool,
    is_read_shut: bool,
    is_write_shut: bool,
    resets_on_close: bool,
    /// The bytes that the peer has not read, as far as this end knows.
    outstanding: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What an end does with a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaction {
    Taken,
    /// Taken, and this is the answer.
    Answer(Content),
    /// There is no such connection here. The answer is a reset.
    Refused,
    /// The packet is dropped, and will come again.
    NoRoom,
}

impl End {
    fn new((host, address): (usize, SocketAddr), crashes: Option<u64>) -> End {
        End {
            host,
            address,
            crashes: Cell::new(crashes),
            listener: Cell::new(None),
            flight: RefCell::default(),
            state: RefCell::new(State {
                phase: Phase::Connecting,
                received: VecDeque::new(),
                unread: 0,
                read_since_told: 0,
                has_end: false,
                has_peer_end: false,
                error: None,
                is_dead: false,
                is_read_shut: false,
                is_write_shut: false,
                resets_on_close: false,
                outstanding: 0,
                reader: None,
                writer: None,
            }),
        }
    }

    /// What this end has sent and has not arrived.
    pub(crate) fn flight(&self) -> RefMut<'_, Flight> {
        self.flight.borrow_mut()
    }

    fn die(&self, error: Option<i32>) {
        let mut state = self.state.borrow_mut();
        state.is_dead = true;
        state.error = error;
        self.flight().clear();
    }

    /// Receives a packet of an established connection, or the answer to a request.
    pub(crate) fn receive(&self, content: Content, bytes: &mut Bytes) -> Reaction {
        let mut state = self.state.borrow_mut();
        if state.is_dead {
            return Reaction::Refused;
        }
        match (content, state.phase) {
            (Content::Acceptance, Phase::Closed) => return Reaction::Refused,
            (Content::Acceptance, _) => {
                state.phase = Phase::Open;
                return Reaction::Answer(Content::Established);
            }
            (Content::Data(_), Phase::Closed) => {
                drop(state);
                self.die(None);
                return Reaction::Refused;
            }
            (Content::Data(_), _) if state.is_read_shut && state.is_write_shut => {
                drop(state);
                self.die(Some(libc::ECONNRESET));
                return Reaction::Refused;
            }
            (Content::Data(len), _) => {
                state.unread += len;
                state.received.push_back(mem::take(bytes));
            }
            (Content::End, _) => state.has_end = true,
            (Content::Window(len), _) => state.outstanding -= len,
            _ => {
                let error = match state.phase {
                    Phase::Connecting => Some(libc::ECONNREFUSED),
                    Phase::Open if state.has_end => Some(libc::EPIPE),
                    Phase::Open => Some(libc::ECONNRESET),
                    Phase::Closed => None,
                };
                drop(state);
                self.die(error);
            }
        }
        Reaction::Taken
    }

    /// The peer has got the end that this end has sent.
    pub(crate) fn end_has_arrived(&self) {
        self.state.borrow_mut().has_peer_end = true;
    }

    /// The kernel takes the peer for gone.
    pub(crate) fn time_out(&self) {
        self.die(Some(libc::ETIMEDOUT));
    }

    /// The server's end is established.
    pub(crate) fn open(&self) {
        self.state.borrow_mut().phase = Phase::Open;
    }

    /// Takes the wakers of the tasks that wait.
    pub(crate) fn take_wakers(&self) -> [Option<Waker>; 2] {
        let state = &mut *self.state.borrow_mut();
        [state.reader.take(), state.writer.take()]
    }
}

/// The calls of a socket.
impl End {
    /// Whether the connection is over: it was reset, has timed out, or has ended in both directions.
    pub(crate) fn is_over(&self) -> bool {
        self.state.borrow().is_over()
    }

    pub(crate) fn poll_connected(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        if let Some(error) = state.error.take() {
            return Poll::Ready(Err(io::Error::from_raw_os_error(error)));
        }
        if state.phase == Phase::Open {
            return Poll::Ready(Ok(()));
        }
        drop(state);
        self.wait_to_write(cx);
        Poll::Pending
    }

    /// Reads, as `recv(2)`; `WouldBlock` if there is nothing, even for an empty buffer.
    pub(crate) fn recv(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if state.unread > 0 {
            return Ok(state.read(into));
        }
        if state.has_end {
            return Ok(0);
        }
        match state.error.take() {
            Some(error) => Err(io::Error::from_raw_os_error(error)),
            None if state.is_dead || state.is_read_shut => Ok(0),
            None => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
        }
    }

    /// Whether a read would return something.
    pub(crate) fn may_read(&self) -> bool {
        let state = self.state.borrow();
        let has_ended = state.has_end || state.is_dead || state.is_read_shut;
        state.unread > 0 || has_ended || state.error.is_some()
    }

    /// The room that reads have made, if it is a quarter of the buffer and the peer was not told.
    pub(crate) fn take_room(&self, buffer: usize) -> Option<usize> {
        let mut state = self.state.borrow_mut();
        let read = state.read_since_told;
        if read == 0 || read < buffer / 4 || state.is_dead {
            return None;
        }
        state.read_since_told = 0;
        Some(read)
    }

    /// Returns how many bytes of a buffer of this size may be sent now; `WouldBlock` if none.
    pub(crate) fn room(&self, buffer: usize) -> io::Result<usize> {
        let mut state = self.state.borrow_mut();
        if state.is_dead || state.is_write_shut {
            let error = state.error.take().unwrap_or(libc::EPIPE);
            return Err(io::Error::from_raw_os_error(error));
        }
        match buffer - state.outstanding {
            0 => Err(io::Error::from_raw_os_error(libc::EAGAIN)),
            room => Ok(room),
        }
    }

    pub(crate) fn count_sent(&self, len: usize) {
        self.state.borrow_mut().outstanding += len;
    }

    pub(crate) fn wait_to_read(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let former = self.state.borrow_mut().reader.replace(waker);
        drop(former);
    }

    pub(crate) fn wait_to_write(&self, cx: &Context<'_>) {
        let waker = cx.waker().clone();
        let former = self.state.borrow_mut().writer.replace(waker);
        drop(former);
    }

    /// Ends the writing direction. Returns true if the end must be sent.
    pub(crate) fn shut_write(&self) -> io::Result<bool> {
        let mut state = self.state.borrow_mut();
        if state.is_over() {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        Ok(!mem::replace(&mut state.is_write_shut, true))
    }

    pub(crate) fn shut_read(&self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        if state.is_over() {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        state.is_read_shut = true;
        Ok(())
    }

    pub(crate) fn make_close_a_reset(&self) {
        self.state.borrow_mut().resets_on_close = true;
    }

    /// The socket was dropped at this time. Returns the last packet that must be sent.
    pub(crate) fn close(&self, now: u64) -> Option<Content> {
        let mut state = self.state.borrow_mut();
        let phase = mem::replace(&mut state.phase, Phase::Closed);
        if state.is_dead {
            None
        } else if phase == Phase::Connecting {
            self.flight().clear();
            None
        } else if state.resets_on_close || state.unread > 0 {
            state.is_dead = true;
            self.flight().sender_resets(now);
            Some(Content::Reset)
        } else {
            (!state.is_write_shut).then_some(Content::End)
        }
    }
}

impl State {
    fn is_over(&self) -> bool {
        self.is_dead || self.has_end && self.has_peer_end
    }

    /// Moves received bytes to `into`.
    fn read(&mut self, into: &mut [u8]) -> usize {
        let mut n = 0;
        while let Some(first) = self.received.front_mut()
            && n < into.len()
        {
            let part = first.len().min(into.len() - n);
            into[n..n + part].copy_from_slice(&first[..part]);
            first.advance(part);
            n += part;
            if first.is_empty() {
                self.received.pop_front();
            }
        }
        self.unread -= n;
        self.read_since_told += n;
        n
    }
}

impl Connection {
    /// A connection of which the server's host knows nothing yet. Takes the number of each host and
    /// the address there, and how often the client's host has lost its power.
    pub(crate) fn new(
        client: (usize, SocketAddr),
        server: (usize, SocketAddr),
        crashes: u64,
    ) -> Connection {
        Connection { client: End::new(client, Some(crashes)), server: End::new(server, None) }
    }

    pub(crate) fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }
}
