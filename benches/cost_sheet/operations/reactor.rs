//! The reactor, as a loop of one's own would use it.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use squall_reactor::{Events, Interest, Mode, Reactor};

use super::Operation;
use crate::limit::Limit::{Allocations, Atomics, Calls, ClockReads};
use crate::meter::Meter;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("`Reactor::register` and `deregister`", register).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(2.0),
    ]),
    Operation::new("`Reactor::modify`", modify).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
    Operation::new("`Reactor::wait` that finds an event", wait).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
        ClockReads(0.0),
    ]),
    Operation::new("`Notifier::notify`", notify).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
];

fn register(meter: Meter) {
    let mut reactor = Reactor::new().expect("descriptors are free");
    let (socket, _peer) = UnixStream::pair().expect("descriptors are free");
    meter.measure(|| {
        let token = reactor.register(socket.as_fd(), Interest::READABLE, Mode::Edge, ());
        reactor.deregister(token.expect("a socket"))
    });
}

fn modify(meter: Meter) {
    let mut reactor = Reactor::new().expect("descriptors are free");
    let (socket, _peer) = UnixStream::pair().expect("descriptors are free");
    let token = reactor.register(socket.as_fd(), Interest::READABLE, Mode::Edge, ());
    let token = token.expect("a socket");
    meter.measure(|| reactor.modify(token, Interest::WRITABLE, Mode::Edge));
}

fn wait(meter: Meter) {
    let mut reactor = Reactor::new().expect("descriptors are free");
    let (socket, _peer) = UnixStream::pair().expect("descriptors are free");
    reactor.register(socket.as_fd(), Interest::WRITABLE, Mode::Level, ()).expect("a socket");
    let mut events = Events::with_capacity(64);
    meter.measure(|| {
        assert_eq!(reactor.wait(&mut events, Some(Duration::ZERO)).ok(), Some(1));
        events.iter().filter_map(|event| reactor.get(event.token())).count()
    });
}

fn notify(meter: Meter) {
    let reactor = Reactor::<()>::new().expect("descriptors are free");
    let notifier = reactor.notifier();
    meter.measure(|| notifier.notify());
}
