//! The load: the clients of a server, on an epoll loop of their own.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_tcp_congestion;

use crate::exchange::Exchange;
use crate::service::{CHUNK, CONGESTION_CONTROL, REQUEST};

/// The server has failed if it does not answer for this time.
const WATCHDOG: Duration = Duration::from_secs(60);

/// When the load stops sending requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Time(Duration),
    Requests(u64),
}

impl Until {
    /// Whether another request may begin after `begun` requests. Reads the clock only at every
    /// 64th.
    fn allows(self, begun: u64, since: Instant) -> bool {
        match self {
            Until::Time(time) => !begun.is_multiple_of(64) || since.elapsed() < time,
            Until::Requests(most) => begun < most,
        }
    }
}

/// Waits for sockets, which are identified by their indices.
struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    fn new() -> io::Result<Poller> {
        Ok(Poller { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(1024) })
    }

    fn add(&self, socket: &TcpStream, index: usize, flags: EventFlags) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(index as u64), flags)?)
    }

    /// Returns the indices of the sockets that are ready.
    fn wait(&mut self) -> io::Result<impl Iterator<Item = usize> + '_> {
        self.events.clear();
        let limit = WATCHDOG.try_into().expect("a minute");
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&limit))?;
        if self.events.is_empty() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
        }
        Ok(self.events.iter().map(|event| usize::try_from(event.data.u64()).expect("an index")))
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    set_tcp_congestion(&stream, CONGESTION_CONTROL)?;
    Ok(stream)
}

/// Returns the length of an answer. A server that listens anew, as may_minihttp does, refuses or
/// resets connections for a moment.
fn first_answer_len(address: SocketAddr, exchange: Exchange) -> io::Result<usize> {
    let since = Instant::now();
    loop {
        let answer_len = connect(address).and_then(|mut socket| exchange.answer_len(&mut socket));
        match answer_len {
            Err(error) if is_too_early(&error) && since.elapsed() < WATCHDOG => {
                thread::sleep(Duration::from_millis(20));
            }
            outcome => return outcome,
        }
    }
}

fn is_too_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed a connection")
}

/// Connections that each send the next request when the last is answered.
pub(crate) struct PingPong {
    poller: Poller,
    /// Each socket, with the number of bytes of the answer received so far.
    sockets: Vec<(TcpStream, usize)>,
    /// The bytes of the requests that are sent at once.
    request: Vec<u8>,
    /// How many requests these are.
    depth: u64,
    answer_len: usize,
}

impl PingPong {
    pub(crate) fn open(
        address: SocketAddr,
        connections: usize,
        exchange: Exchange,
    ) -> io::Result<PingPong> {
        let poller = Poller::new()?;
        let answer_len = first_answer_len(address, exchange)?;
        let sockets = (0..connections).map(|index| {
            let socket = connect(address)?;
            poller.add(&socket, index, EventFlags::IN)?;
            Ok((socket, 0))
        });
        Ok(PingPong {
            sockets: sockets.collect::<io::Result<_>>()?,
            poller,
            request: exchange.request(),
            depth: exchange.depth() as u64,
            answer_len,
        })
    }

    /// Sends requests, waits for all answers, and returns their number.
    pub(crate) fn run(&mut self, until: Until) -> io::Result<u64> {
        let (since, mut begun, mut answered) = (Instant::now(), 0, 0);
        for (socket, _) in &mut self.sockets {
            if until.allows(begun, since) {
                socket.write_all(&self.request)?;
                begun += self.depth;
            }
        }
        let mut answer = [0; 8 << 10];
        while answered < begun {
            for index in self.poller.wait()? {
                let (socket, received) = &mut self.sockets[index];
                *received += match socket.read(&mut answer)? {
                    0 => return Err(ended()),
                    n => n,
                };
                if *received > self.answer_len {
                    return Err(io::Error::other("an answer is longer than the first"));
                }
                if *received == self.answer_len {
                    *received = 0;
                    answered += self.depth;
                    if until.allows(begun, since) {
                        socket.write_all(&self.request)?;
                        begun += self.depth;
                    }
                }
            }
        }
        Ok(answered)
    }
}

/// Opens a connection for each request, at most `at_once` at a time. The request arrives before the
/// server accepts, or soon after.
pub(crate) fn churn(address: SocketAddr, at_once: usize, until: Until) -> io::Result<u64> {
    let mut poller = Poller::new()?;
    let mut sockets: Vec<Option<TcpStream>> = (0..at_once).map(|_| None).collect();
    let (since, mut begun, mut answered) = (Instant::now(), 0, 0);
    let ask = |poller: &Poller, index| {
        let mut socket = connect(address)?;
        socket.write_all(&[b'x'; REQUEST])?;
        poller.add(&socket, index, EventFlags::IN)?;
        io::Result::Ok(Some(socket))
    };
    for (index, socket) in sockets.iter_mut().enumerate() {
        if until.allows(begun, since) {
            *socket = ask(&poller, index)?;
            begun += 1;
        }
    }
    let mut answer = [0; 2 * REQUEST];
    while answered < begun {
        let ready: Vec<_> = poller.wait()?.collect();
        for index in ready {
            let socket = sockets[index].as_mut().expect("only open sockets are registered");
            if socket.read(&mut answer)? > 0 {
                continue; // the end is still to come
            }
            answered += 1;
            sockets[index] = None;
            if until.allows(begun, since) {
                sockets[index] = ask(&poller, index)?;
                begun += 1;
            }
        }
    }
    Ok(answered)
}

/// Sends `each` bytes on every one of `streams` connections, and waits until the server has closed
/// them.
pub(crate) fn fill(address: SocketAddr, streams: usize, each: usize) -> io::Result<()> {
    let chunk = vec![b'x'; CHUNK];
    transfer(address, streams, each, EventFlags::OUT, |socket, left| {
        let n = socket.write(&chunk[..CHUNK.min(*left)])?;
        *left -= n;
        if *left == 0 {
            socket.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(n > 0)
    })
}

/// Requests `each` bytes on every one of `streams` connections, and reads them all.
pub(crate) fn drain(address: SocketAddr, streams: usize, each: usize) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    transfer(address, streams, each, EventFlags::IN, move |socket, left| {
        let n = socket.read(&mut chunk)?;
        *left = left
            .checked_sub(n)
            .ok_or_else(|| io::Error::other("more bytes came than were requested"))?;
        if n == 0 && *left > 0 { Err(ended()) } else { Ok(n > 0) }
    })
}

/// Calls `step` with each ready socket and the number of bytes left, until none are left. Then
/// waits until the server closes.
fn transfer(
    address: SocketAddr,
    streams: usize,
    each: usize,
    flags: EventFlags,
    mut step: impl FnMut(&mut TcpStream, &mut usize) -> io::Result<bool>,
) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let mut sockets = Vec::new();
    for index in 0..streams {
        let mut socket = connect(address)?;
        if flags == EventFlags::IN {
            socket.write_all(&(each as u64).to_le_bytes())?;
        }
        poller.add(&socket, index, flags)?;
        sockets.push((socket, each));
    }
    let mut open = streams;
    while open > 0 {
        let ready: Vec<_> = poller.wait()?.collect();
        for index in ready {
            let (socket, left) = &mut sockets[index];
            while *left > 0 {
                match step(socket, left) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if *left == 0 {
                epoll::delete(&poller.epoll, &*socket)?;
                open -= 1;
            }
        }
    }
    for (mut socket, _) in sockets {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(WATCHDOG))?;
        if socket.read(&mut [0])? > 0 {
            return Err(io::Error::other("more bytes came than were requested"));
        }
    }
    Ok(())
}

/// Opens connections and returns them. Every other connection has had one request answered.
pub(crate) fn hold(address: SocketAddr, connections: usize) -> io::Result<Vec<TcpStream>> {
    let open = |n: usize| {
        let mut socket = connect(address)?;
        if n % 2 == 1 {
            socket.set_read_timeout(Some(WATCHDOG))?;
            socket.write_all(&[b'x'; REQUEST])?;
            socket.read_exact(&mut [0; REQUEST])?;
        }
        Ok(socket)
    };
    (0..connections).map(open).collect()
}
