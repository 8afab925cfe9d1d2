//! The floor: one loop around epoll, level-triggered, with nothing between it and the kernel.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, recv, send};
use slab::Slab;

use super::raw_http::Http;
use crate::service::{CHUNK, REQUEST, Service};

/// The listener's key in epoll. A connection's key is its key in the slab.
const LISTENER: u64 = u64::MAX;
/// Chunks that a connection moves before other connections get their turn.
const CHUNKS_AT_ONCE: usize = 4;

struct Connection {
    socket: TcpStream,
    /// The rest of the last answer, which the kernel did not accept, or the number of bytes still
    /// to send.
    unsent: Unsent,
    /// The bytes of an incomplete request over HTTP.
    received: usize,
    /// The events that epoll waits for. Empty before the first wait.
    watched: EventFlags,
}

enum Unsent {
    Bytes(Vec<u8>),
    Count(usize),
}

/// What to do next with a connection.
enum Next {
    WaitFor(EventFlags),
    Close,
}

struct Floor {
    epoll: OwnedFd,
    service: Service,
    connections: Slab<Connection>,
    buffer: Vec<u8>,
    http: Http,
}

pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    let others = service.workers().unwrap_or(1) - 1;
    thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(|| serve_on_this_thread(&listener, service).expect("a worker serves"));
        }
        serve_on_this_thread(&listener, service)
    })
}

fn serve_on_this_thread(listener: &TcpListener, service: Service) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut floor = Floor {
        epoll,
        service,
        connections: Slab::new(),
        buffer: vec![0; CHUNK],
        http: Http::new(service),
    };
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        epoll::wait(&floor.epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            match event.data.u64() {
                LISTENER => floor.accept(listener)?,
                key => floor.serve_ready(usize::try_from(key).expect("64 bits"))?,
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            match rustix::net::accept_with(listener, flags) {
                Ok(socket) => {
                    let key = self.connections.insert(Connection {
                        socket: socket.into(),
                        unsent: Unsent::Bytes(Vec::new()),
                        received: 0,
                        watched: EventFlags::empty(),
                    });
                    self.serve_ready(key)?;
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn serve_ready(&mut self, key: usize) -> io::Result<()> {
        let connection = &mut self.connections[key];
        let next = match self.service {
            Service::Echo => connection.echo(&mut self.buffer),
            Service::Once => connection.once(&mut self.buffer[..REQUEST]),
            Service::Sink => connection.sink(&mut self.buffer),
            Service::Source => connection.source(&mut self.buffer),
            Service::Http
            | Service::HttpClose
            | Service::HttpEcho
            | Service::HttpLarge
            | Service::OneWorker
            | Service::TwoWorkers => connection.http(&mut self.buffer, &self.http),
            other => return Err(other.not_offered()),
        };
        match next {
            Ok(Next::WaitFor(flags)) if flags == connection.watched => Ok(()),
            Ok(Next::WaitFor(flags)) => {
                let data = EventData::new_u64(key as u64);
                let former = std::mem::replace(&mut connection.watched, flags);
                let watch = if former.is_empty() { epoll::add } else { epoll::modify };
                Ok(watch(&self.epoll, &connection.socket, data, flags)?)
            }
            Ok(Next::Close) | Err(Errno::CONNRESET | Errno::PIPE) => {
                drop(self.connections.remove(key)); // closing the socket removes it from epoll
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Connection {
    fn read(&self, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        match recv(&self.socket, buffer, RecvFlags::empty()) {
            Ok((n, _)) => Ok(Some(n)),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN) => Ok(0),
            outcome => outcome,
        }
    }

    fn echo(&mut self, buffer: &mut [u8]) -> Result<Next, Errno> {
        if let Unsent::Bytes(unsent) = &self.unsent
            && !unsent.is_empty()
        {
            let rest = unsent[self.write(unsent)?..].to_vec();
            let flags = if rest.is_empty() { EventFlags::IN } else { EventFlags::OUT };
            self.unsent = Unsent::Bytes(rest);
            return Ok(Next::WaitFor(flags));
        }
        let Some(n) = self.read(buffer)? else { return Ok(Next::WaitFor(EventFlags::IN)) };
        if n == 0 {
            return Ok(Next::Close);
        }
        let sent = self.write(&buffer[..n])?;
        if sent == n {
            return Ok(Next::WaitFor(EventFlags::IN));
        }
        self.unsent = Unsent::Bytes(buffer[sent..n].to_vec());
        Ok(Next::WaitFor(EventFlags::OUT))
    }

    /// Assumes that a request comes in one piece, because the floor does the least work.
    fn once(&mut self, buffer: &mut [u8]) -> Result<Next, Errno> {
        let Some(n) = self.read(buffer)? else { return Ok(Next::WaitFor(EventFlags::IN)) };
        self.write(&buffer[..n])?;
        Ok(Next::Close)
    }

    /// Assumes that the answers fit into the socket.
    fn http(&mut self, buffer: &mut [u8], http: &Http) -> Result<Next, Errno> {
        let Some(n) = self.read(buffer)? else { return Ok(Next::WaitFor(EventFlags::IN)) };
        if n == 0 {
            return Ok(Next::Close);
        }
        let answers = http.answers(&mut self.received, &buffer[..n]);
        self.write(answers)?;
        let is_last = http.closes && !answers.is_empty();
        Ok(if is_last { Next::Close } else { Next::WaitFor(EventFlags::IN) })
    }

    fn sink(&mut self, buffer: &mut [u8]) -> Result<Next, Errno> {
        for _ in 0..CHUNKS_AT_ONCE {
            match self.read(buffer)? {
                Some(0) => return Ok(Next::Close),
                Some(n) if n == buffer.len() => {}
                _ => break,
            }
        }
        Ok(Next::WaitFor(EventFlags::IN))
    }

    fn source(&mut self, buffer: &mut [u8]) -> Result<Next, Errno> {
        let mut left = match self.unsent {
            Unsent::Count(left) => left,
            Unsent::Bytes(_) => {
                let mut number = [0; 8];
                if self.read(&mut number)?.is_none() {
                    return Ok(Next::WaitFor(EventFlags::IN));
                }
                usize::try_from(u64::from_le_bytes(number)).expect("64 bits")
            }
        };
        for _ in 0..CHUNKS_AT_ONCE {
            let wanted = left.min(buffer.len());
            let n = self.write(&buffer[..wanted])?;
            left -= n;
            if left == 0 {
                let _ = self.socket.shutdown(Shutdown::Write); // the socket is closed next anyway
                return Ok(Next::Close);
            }
            if n < wanted {
                break;
            }
        }
        self.unsent = Unsent::Count(left);
        Ok(Next::WaitFor(EventFlags::OUT))
    }
}
