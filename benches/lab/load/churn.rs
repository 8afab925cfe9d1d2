//! A connection for each request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use super::answer::{Answer, Progress};
use super::poller::Poller;
use super::until::Until;
use super::{connect, ended};
use crate::exchange::Exchange;
use crate::service::CHUNK;

/// Clients that connect, send one request and wait until the server has answered and closed.
pub(crate) struct Churn {
    address: SocketAddr,
    poller: Poller,
    /// The open connections. A place is empty while its client does not connect again.
    sockets: Vec<Option<(TcpStream, Progress)>>,
    request: Vec<u8>,
    answer: Answer,
    buffer: Vec<u8>,
}

impl Churn {
    /// Prepares `clients` clients. None of them connects yet.
    pub(crate) fn new(
        address: SocketAddr,
        clients: usize,
        exchange: Exchange,
    ) -> io::Result<Churn> {
        Ok(Churn {
            address,
            poller: Poller::new()?,
            sockets: (0..clients).map(|_| None).collect(),
            request: exchange.request(),
            answer: Answer::first(address, exchange)?,
            buffer: vec![0; CHUNK],
        })
    }

    /// Sends requests, waits until all connections are closed, and returns the number of answers.
    pub(crate) fn run(&mut self, until: Until) -> io::Result<u64> {
        let (since, mut begun, mut answered) = (Instant::now(), 0, 0);
        for index in 0..self.sockets.len() {
            if until.allows(begun, since) {
                self.ask(index)?;
                begun += 1;
            }
        }
        while answered < begun {
            let ready: Vec<_> = self.poller.wait()?.collect();
            for index in ready {
                if !self.is_closed(index)? {
                    continue;
                }
                answered += 1;
                self.sockets[index] = None;
                if until.allows(begun, since) {
                    self.ask(index)?;
                    begun += 1;
                }
            }
        }
        Ok(answered)
    }

    /// Connects and sends. The request arrives before the server accepts, or soon after.
    fn ask(&mut self, index: usize) -> io::Result<()> {
        let mut socket = connect(self.address)?;
        socket.write_all(&self.request)?;
        self.poller.add(&socket, index, EventFlags::IN)?;
        self.sockets[index] = Some((socket, Progress::new(1)));
        Ok(())
    }

    /// Reads once. Returns true if the server has closed the connection after its answer.
    fn is_closed(&mut self, index: usize) -> io::Result<bool> {
        let open = self.sockets[index].as_mut();
        let (socket, progress) = open.expect("only open sockets are registered");
        let n = socket.read(&mut self.buffer)?;
        if n == 0 && progress.outstanding > 0 {
            return Err(ended());
        }
        self.answer.check(progress, &self.buffer[..n])?;
        Ok(n == 0)
    }
}
