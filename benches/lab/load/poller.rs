//! Waits for sockets, which are identified by their indices.

use std::io;
use std::net::TcpStream;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::OwnedFd;

use super::WATCHDOG;

pub(super) struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        Ok(Poller { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(1024) })
    }

    pub(super) fn add(
        &self,
        socket: &TcpStream,
        index: usize,
        flags: EventFlags,
    ) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(index as u64), flags)?)
    }

    pub(super) fn remove(&self, socket: &TcpStream) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Waits until sockets are ready, and returns their indices.
    pub(super) fn wait(&mut self) -> io::Result<impl Iterator<Item = usize> + '_> {
        let limit = WATCHDOG.try_into().expect("a minute");
        self.poll(&limit)?;
        if self.events.is_empty() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
        }
        Ok(self.indices())
    }

    /// Returns the indices of the sockets that are ready now.
    pub(super) fn ready(&mut self) -> io::Result<impl Iterator<Item = usize> + '_> {
        self.poll(&Timespec { tv_sec: 0, tv_nsec: 0 })?;
        Ok(self.indices())
    }

    fn poll(&mut self, limit: &Timespec) -> io::Result<()> {
        self.events.clear();
        epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(limit))?;
        Ok(())
    }

    fn indices(&self) -> impl Iterator<Item = usize> + '_ {
        self.events.iter().map(|event| usize::try_from(event.data.u64()).expect("an index"))
    }
}
