//! Connections that each send the next request when the last is answered.

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

pub(crate) struct PingPong {
    poller: Poller,
    sockets: Vec<(TcpStream, Progress)>,
    /// The bytes of the requests that are sent at once.
    request: Vec<u8>,
    /// How many requests these are.
    depth: u64,
    answer: Answer,
    buffer: Vec<u8>,
}

impl PingPong {
    pub(crate) fn open(
        address: SocketAddr,
        connections: usize,
        exchange: Exchange,
    ) -> io::Result<PingPong> {
        let poller = Poller::new()?;
        let answer = Answer::first(address, exchange)?;
        let sockets = (0..connections).map(|index| {
            let socket = connect(address)?;
            poller.add(&socket, index, EventFlags::IN)?;
            Ok((socket, Progress::new(0)))
        });
        Ok(PingPong {
            sockets: sockets.collect::<io::Result<_>>()?,
            poller,
            request: exchange.request(),
            depth: exchange.depth() as u64,
            answer,
            buffer: vec![0; CHUNK],
        })
    }

    /// Sends requests, waits for all answers, and returns their number.
    pub(crate) fn run(&mut self, until: Until) -> io::Result<u64> {
        let (since, mut begun, mut answered) = (Instant::now(), 0, 0);
        for (socket, progress) in &mut self.sockets {
            if until.allows(begun, since) {
                socket.write_all(&self.request)?;
                progress.outstanding = self.depth;
                begun += self.depth;
            }
        }
        while answered < begun {
            for index in self.poller.wait()? {
                let (socket, progress) = &mut self.sockets[index];
                let n = socket.read(&mut self.buffer)?;
                if n == 0 {
                    return Err(ended());
                }
                answered += self.answer.check(progress, &self.buffer[..n])?;
                if progress.outstanding == 0 && until.allows(begun, since) {
                    socket.write_all(&self.request)?;
                    progress.outstanding = self.depth;
                    begun += self.depth;
                }
            }
        }
        Ok(answered)
    }
}
