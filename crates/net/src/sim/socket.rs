//! What every simulated socket has: a place among the open sockets of its host, and a descriptor.

use std::cell::OnceCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sim::current::Place;
use crate::sim::ports::Protocol;
use crate::sys;

/// An open socket of a host.
pub(crate) struct Socket {
    pub(crate) place: Place,
    pub(crate) address: SocketAddr,
    /// How often the host had lost its power when the socket was made.
    crashes: u64,
    descriptor: OnceCell<OwnedFd>,
}

impl Socket {
    /// Opens a socket at an address of the host. Draws a port if it is 0.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if the address is not this host's, `EADDRINUSE` if another socket has it or
    /// no port is free, and as [`accepted`](Self::accepted).
    pub(crate) fn bind(
        place: Place,
        mut address: SocketAddr,
        protocol: Protocol,
    ) -> io::Result<Socket> {
        let Place { world, machine } = &place;
        if !machine.is_local(address.ip()) {
            return Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL));
        }
        let in_use = || io::Error::from_raw_os_error(libc::EADDRINUSE);
        if address.port() == 0 {
            let free = machine.ports.borrow().free_port(address, protocol, world.random());
            address.set_port(free.ok_or_else(in_use)?);
        } else if machine.ports.borrow().is_taken(address, protocol) {
            return Err(in_use());
        }
        Socket::accepted(place, address)
    }

    /// Opens a socket at an address that others may have too.
    ///
    /// # Errors
    /// `EMFILE` if the host has as many sockets as it may have.
    pub(crate) fn accepted(place: Place, address: SocketAddr) -> io::Result<Socket> {
        let open = place.machine.open_sockets.get();
        if open >= place.world.config.max_sockets {
            return Err(io::Error::from_raw_os_error(libc::EMFILE));
        }
        place.machine.open_sockets.set(open + 1);
        let crashes = place.machine.power.crashes();
        Ok(Socket { place, address, crashes, descriptor: OnceCell::new() })
    }

    /// Whether the host has lost its power since the socket was made.
    pub(crate) fn is_lost(&self) -> bool {
        self.place.machine.power.crashes() != self.crashes
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if !self.is_lost() {
            let open = &self.place.machine.open_sockets;
            open.set(open.get() - 1);
        }
    }
}

impl AsFd for Socket {
    /// A real socket that is not connected. It takes options, and they have no effect.
    ///
    /// # Panics
    /// If the process has no free descriptor.
    fn as_fd(&self) -> BorrowedFd<'_> {
        let make = || match sys::stand_in(self.address) {
            Ok(socket) => socket,
            Err(error) => panic!("no descriptor can stand for a simulated socket: {error}"),
        };
        self.descriptor.get_or_init(make).as_fd()
    }
}
