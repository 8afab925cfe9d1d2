//! A simulated machine: its address, its power, its ports, and the process that runs on it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use squall_executor::{EventLoop, JoinHandle};

use crate::sim::ports::Ports;

/// The `main` of a host.
pub(crate) type Main = Rc<dyn Fn() -> Pin<Box<dyn Future<Output = io::Result<()>>>>>;

pub(crate) struct Machine {
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    /// `None` for the host of the scripts.
    pub(crate) main: Option<Main>,
    /// `None` after the process has ended.
    pub(crate) process: RefCell<Option<Process>>,
    pub(crate) power: Power,
    pub(crate) ports: RefCell<Ports>,
    pub(crate) open_sockets: Cell<usize>,
}

/// The process of a host.
pub(crate) struct Process {
    pub(crate) event_loop: Rc<EventLoop>,
    pub(crate) main: Option<JoinHandle<io::Result<()>>>,
}

/// Whether a machine has power, and when it had none.
#[derive(Default)]
pub(crate) struct Power {
    is_off: Cell<bool>,
    /// How often the power was lost. A socket of an earlier life is silent.
    crashes: Cell<u64>,
    /// When it was lost for the last time, in nanoseconds since the simulation began.
    crashed_at: Cell<u64>,
}

impl Power {
    pub(crate) fn is_on(&self) -> bool {
        !self.is_off.get()
    }

    pub(crate) fn switch_on(&self) {
        self.is_off.set(false);
    }

    pub(crate) fn switch_off(&self, now: u64) {
        self.is_off.set(true);
        self.crashes.set(self.crashes.get() + 1);
        self.crashed_at.set(now);
    }

    pub(crate) fn crashes(&self) -> u64 {
        self.crashes.get()
    }

    pub(crate) fn crashed_at(&self) -> u64 {
        self.crashed_at.get()
    }
}

impl Machine {
    pub(crate) fn new(number: usize, name: &str, main: Option<Main>) -> Machine {
        let low = u8::try_from(number % 250 + 1).expect("at most 250");
        let high = u8::try_from(number / 250).expect("fewer than 64,000 hosts");
        Machine {
            number,
            name: name.to_owned(),
            ip: Ipv4Addr::new(10, 0, high, low).into(),
            main,
            process: RefCell::new(None),
            power: Power::default(),
            ports: RefCell::default(),
            open_sockets: Cell::new(0),
        }
    }

    pub(crate) fn event_loop(&self) -> Option<Rc<EventLoop>> {
        self.process.borrow().as_ref().map(|process| Rc::clone(&process.event_loop))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.borrow().is_some()
    }

    /// When the loop has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.process.borrow().as_ref()?.event_loop.next_deadline()
    }

    pub(crate) fn is_local(&self, ip: IpAddr) -> bool {
        ip == self.ip || ip.is_loopback() || ip.is_unspecified()
    }

    /// The addresses of a packet that a socket at `from` sends to `to`, neither of them unspecified.
    ///
    /// # Errors
    /// `EINVAL` from the loopback device to another host.
    pub(crate) fn route(
        &self,
        mut to: SocketAddr,
        mut from: SocketAddr,
    ) -> io::Result<(SocketAddr, SocketAddr)> {
        let loopback = match to.ip() {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        if to.ip().is_unspecified() {
            to.set_ip(loopback);
        }
        if from.ip().is_unspecified() {
            from.set_ip(if to.ip().is_loopback() { loopback } else { self.ip });
        } else if from.ip().is_loopback() && !self.is_local(to.ip()) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok((to, from))
    }
}
