//! The load: the other end of a server's connections, on epoll by itself.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::sockopt::set_tcp_congestion;

use crate::service::{CHUNK, CONGESTION_CONTROL, REQUEST};

/// No answer for so long is a failure of the server's.
const WATCHDOG: Duration = Duration::from_secs(60);

/// When enough was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Time(Duration),
    Requests(u64),
}

impl Until {
    /// Tells whether another request may begin, when `begun` have. The clock is read for every 64th only.
    fn allows(self, begun: u64, since: Instant) -> bool {
        match self {
            Until::Time(time) => !begun.is_multiple_of(64) || since.elapsed() < time,
            Until::Requests(most) => begun < most,
        }
    }
}

/// Sockets that are waited for, known by their places.
struct Watch {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Watch {
    fn new() -> io::Result<Watch> {
        Ok(Watch { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(1024) })
    }

    fn add(&self, socket: &TcpStream, place: usize, flags: EventFlags) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(place as u64), flags)?)
    }

    /// The places of those that are ready.
    fn wait(&mut self) -> io::Result<impl Iterator<Item = usize> + '_> {
        self.events.clear();
        let limit = WATCHDOG.try_into().expect("a minute");
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&limit))?;
        if self.events.is_empty() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
        }
        Ok(self.events.iter().map(|event| usize::try_from(event.data.u64()).expect("a place")))
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    set_tcp_congestion(&stream, CONGESTION_CONTROL)?;
    Ok(stream)
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed a connection")
}

/// Connections on each of which a request follows the answer to the last.
pub(crate) struct PingPong {
    watch: Watch,
    /// With the bytes of the answer that have come.
    sockets: Vec<(TcpStream, usize)>,
}

impl PingPong {
    pub(crate) fn open(address: SocketAddr, connections: usize) -> io::Result<PingPong> {
        let watch = Watch::new()?;
        let sockets = (0..connections).map(|place| {
            let socket = connect(address)?;
            watch.add(&socket, place, EventFlags::IN)?;
            Ok((socket, 0))
        });
        Ok(PingPong { sockets: sockets.collect::<io::Result<_>>()?, watch })
    }

    /// Asks, and returns how many were answered: all of them.
    pub(crate) fn run(&mut self, until: Until) -> io::Result<u64> {
        let (since, mut begun, mut answered) = (Instant::now(), 0, 0);
        for (socket, _) in &mut self.sockets {
            if until.allows(begun, since) {
                socket.write_all(&[b'x'; REQUEST])?;
                begun += 1;
            }
        }
        let mut answer = [0; REQUEST];
        while answered < begun {
            for place in self.watch.wait()? {
                let (socket, received) = &mut self.sockets[place];
                *received += match socket.read(&mut answer)? {
                    0 => return Err(ended()),
                    n => n,
                };
                if *received == REQUEST {
                    *received = 0;
                    answered += 1;
                    if until.allows(begun, since) {
                        socket.write_all(&[b'x'; REQUEST])?;
                        begun += 1;
                    }
                }
            }
        }
        Ok(answered)
    }
}

/// A connection for each request: at most `at_once` are open. The request is there when the server accepts, or soon after.
pub(crate) fn churn(address: SocketAddr, at_once: usize, until: Until) -> io::Result<u64> {
    let mut watch = Watch::new()?;
    let mut sockets: Vec<Option<TcpStream>> = (0..at_once).map(|_| None).collect();
    let (since, mut begun, mut answered) = (Instant::now(), 0, 0);
    let ask = |watch: &Watch, place| {
        let mut socket = connect(address)?;
        socket.write_all(&[b'x'; REQUEST])?;
        watch.add(&socket, place, EventFlags::IN)?;
        io::Result::Ok(Some(socket))
    };
    for (place, socket) in sockets.iter_mut().enumerate() {
        if until.allows(begun, since) {
            *socket = ask(&watch, place)?;
            begun += 1;
        }
    }
    let mut answer = [0; 2 * REQUEST];
    while answered < begun {
        let ready: Vec<_> = watch.wait()?.collect();
        for place in ready {
            let socket = sockets[place].as_mut().expect("only open ones are watched");
            if socket.read(&mut answer)? > 0 {
                continue; // the end is still to come
            }
            answered += 1;
            sockets[place] = None;
            if until.allows(begun, since) {
                sockets[place] = ask(&watch, place)?;
                begun += 1;
            }
        }
    }
    Ok(answered)
}

/// Sends `each` bytes on every one of so many connections, and waits until the server has closed them.
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

/// Asks for `each` bytes on every one of so many connections, and reads them all.
pub(crate) fn drain(address: SocketAddr, streams: usize, each: usize) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    transfer(address, streams, each, EventFlags::IN, move |socket, left| {
        let n = socket.read(&mut chunk)?;
        *left = left.checked_sub(n).ok_or_else(|| io::Error::other("more came than was asked"))?;
        if n == 0 && *left > 0 { Err(ended()) } else { Ok(n > 0) }
    })
}

/// Moves bytes by `step`, which is told the socket and how many are left, until none are, and waits for the server's end.
fn transfer(
    address: SocketAddr,
    streams: usize,
    each: usize,
    flags: EventFlags,
    mut step: impl FnMut(&mut TcpStream, &mut usize) -> io::Result<bool>,
) -> io::Result<()> {
    let mut watch = Watch::new()?;
    let mut sockets = Vec::new();
    for place in 0..streams {
        let mut socket = connect(address)?;
        if flags == EventFlags::IN {
            socket.write_all(&(each as u64).to_le_bytes())?;
        }
        watch.add(&socket, place, flags)?;
        sockets.push((socket, each));
    }
    let mut open = streams;
    while open > 0 {
        let ready: Vec<_> = watch.wait()?.collect();
        for place in ready {
            let (socket, left) = &mut sockets[place];
            while *left > 0 {
                match step(socket, left) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if *left == 0 {
                epoll::delete(&watch.epoll, &*socket)?;
                open -= 1;
            }
        }
    }
    for (mut socket, _) in sockets {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(WATCHDOG))?;
        if socket.read(&mut [0])? > 0 {
            return Err(io::Error::other("more came than was asked"));
        }
    }
    Ok(())
}

/// Opens connections and holds them; every other one has been answered once.
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
