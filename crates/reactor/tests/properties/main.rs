//! Properties of tokens: none ever reaches the state of a later registration.

use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use squall_reactor::{Events, Interest, Mode, Reactor, Token};

#[derive(Clone, Debug)]
enum Act {
    /// Opens a socket and registers it.
    Register,
    /// Deregisters, and then closes the socket.
    Deregister(Index),
    /// Closes the socket without deregistering it: the next `Register` gets its number.
    Close(Index),
    /// Deregisters a registration whose socket was closed.
    DeregisterLate(Index),
    /// Makes a socket readable.
    Write(Index),
    /// Waits, and keeps the events for the next `Deliver`.
    Wait,
    /// Looks the states up to which the kept events belong.
    Deliver,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Register),
        2 => any::<Index>().prop_map(Act::Deregister),
        2 => any::<Index>().prop_map(Act::Close),
        1 => any::<Index>().prop_map(Act::DeregisterLate),
        3 => any::<Index>().prop_map(Act::Write),
        2 => Just(Act::Wait),
        2 => Just(Act::Deliver),
    ]
}

/// A registration whose socket is open.
struct Open {
    token: Token,
    state: u32,
    socket: UnixStream,
    peer: UnixStream,
    is_written: bool,
}

/// A reactor, and what it must know.
struct Script {
    reactor: Reactor<u32>,
    events: Events,
    open: Vec<Open>,
    /// Registrations whose socket was closed, with its number.
    closed: Vec<(Token, u32, RawFd)>,
    /// The tokens that were deregistered.
    stale: Vec<Token>,
    states: u32,
}

impl Script {
    fn new() -> Script {
        Script {
            reactor: Reactor::new().unwrap(),
            events: Events::with_capacity(8),
            open: Vec::new(),
            closed: Vec::new(),
            stale: Vec::new(),
            states: 0,
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Register => self.register(),
            Act::Deregister(nth) if !self.open.is_empty() => {
                let open = self.open.swap_remove(nth.index(self.open.len()));
                assert_eq!(self.reactor.deregister(open.token), Some(open.state));
                self.stale.push(open.token);
            }
            Act::Close(nth) if !self.open.is_empty() => {
                let open = self.open.swap_remove(nth.index(self.open.len()));
                self.closed.push((open.token, open.state, open.socket.as_raw_fd()));
            }
            Act::DeregisterLate(nth) if !self.closed.is_empty() => {
                let (token, state, _) = self.closed.swap_remove(nth.index(self.closed.len()));
                assert_eq!(self.reactor.deregister(token), Some(state));
                self.stale.push(token);
            }
            Act::Write(nth) if !self.open.is_empty() => {
                let nth = nth.index(self.open.len());
                self.open[nth].peer.write_all(b"x").unwrap();
                self.open[nth].is_written = true;
            }
            Act::Wait => {
                self.reactor.wait(&mut self.events, Some(Duration::ZERO)).unwrap();
                for event in &self.events {
                    let open = self.open.iter().find(|open| open.token == event.token());
                    assert!(open.is_some_and(|open| open.is_written), "{event:?}");
                }
            }
            Act::Deliver => self.deliver(),
            _ => {} // there is no such registration
        }
    }

    fn register(&mut self) {
        let (socket, peer) = UnixStream::pair().unwrap();
        let state = self.states;
        self.states += 1;
        let token =
            self.reactor.register(socket.as_fd(), Interest::READABLE, Mode::Level, state).unwrap();
        self.open.push(Open { token, state, socket, peer, is_written: false });
    }

    /// Each event reaches the state of its own registration, or none.
    fn deliver(&mut self) {
        let states: HashMap<_, _> = self.open.iter().map(|open| (open.token, open.state)).collect();
        for event in &self.events {
            if let Some(state) = self.reactor.get(event.token()) {
                let known = states.get(&event.token()).copied();
                let closed = self.closed.iter().find(|closed| closed.0 == event.token());
                assert_eq!(Some(*state), known.or(closed.map(|closed| closed.1)));
            }
        }
    }

    fn check(&mut self) {
        assert_eq!(self.reactor.len(), self.open.len() + self.closed.len());
        for open in &self.open {
            assert_eq!(self.reactor.get(open.token), Some(&open.state));
            assert_eq!(self.reactor.get_mut(open.token), Some(&mut open.state.clone()));
        }
        for (token, state, fd) in &self.closed {
            // Retired, if an open registration has the number now; it may also have been retired by
            // one that was closed in turn.
            let is_taken = self.open.iter().any(|open| open.socket.as_raw_fd() == *fd);
            match self.reactor.get(*token) {
                Some(found) => assert!(found == state && !is_taken),
                None => assert!(self.states > *state + 1, "no later registration has retired it"),
            }
        }
        for token in &self.stale {
            assert_eq!(self.reactor.get(*token), None);
            assert_eq!(self.reactor.get_mut(*token), None);
            assert_eq!(self.reactor.deregister(*token), None);
            let modified = self.reactor.modify(*token, Interest::WRITABLE, Mode::Level);
            assert_eq!(modified.unwrap_err().kind(), std::io::ErrorKind::NotFound);
        }
    }

    /// Every open socket that was written to still reports, however numbers and slots were reused.
    fn finish(mut self) {
        let mut missing: Vec<_> =
            self.open.iter().filter(|open| open.is_written).map(|open| open.token).collect();
        let mut waits = 0;
        while !missing.is_empty() {
            waits += 1;
            assert!(waits < 100, "no event for {missing:?}");
            self.reactor.wait(&mut self.events, Some(Duration::ZERO)).unwrap();
            for event in &self.events {
                missing.retain(|token| *token != event.token());
            }
        }
    }
}

/// 512 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    if is_set { ProptestConfig::default() } else { ProptestConfig::with_cases(512) }
}

proptest! {
    #![proptest_config(config())]

    // R5, R21
    #[test]
    fn a_token_never_reaches_a_later_registration(acts in vec(act(), 0..100)) {
        let mut script = Script::new();
        for act in &acts {
            script.act(act);
            script.check();
        }
        script.finish();
    }
}
