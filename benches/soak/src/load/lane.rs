//! A lane: the clients of one server, with due times of their own, so that a server that stands still
//! does not hold up the requests to the other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use crate::load::client::{Client, Failed};
use crate::load::due_times::DueTimes;
use crate::load::request::Request;
use crate::load::tally::Tally;
use crate::records::failure::{Failure, How, Target};
use crate::records::json_line::print;
use crate::records::load_report::LoadReport;
use crate::run_clock::RunClock;

/// The threads of a lane. Each has at most one request on its way.
const CLIENTS: usize = 24;
/// The stack of a client's thread, in bytes.
const STACK: usize = 256 << 10;
/// One of this many requests has a connection of its own.
const REQUESTS_FOR_A_FRESH_CONNECTION: u32 = 5;

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) http: SocketAddr,
    pub(crate) lines: SocketAddr,
}

pub(crate) struct Lane {
    pub(crate) target: Target,
    addresses: Addresses,
    clock: RunClock,
    due_times: DueTimes,
    tally: Tally,
    file: Arc<Vec<u8>>,
}

impl Lane {
    pub(crate) fn new(
        target: Target,
        addresses: Addresses,
        per_second: f64,
        clock: RunClock,
        file: Arc<Vec<u8>>,
    ) -> Lane {
        let due_times = DueTimes::paused(per_second);
        Lane { target, addresses, clock, due_times, tally: Tally::default(), file }
    }

    /// Runs the clients, on threads of `scope`, until the end.
    pub(crate) fn spawn<'s>(
        &'s self,
        scope: &'s thread::Scope<'s, '_>,
        seed: u64,
    ) -> std::io::Result<()> {
        for number in 0..CLIENTS as u64 {
            let random = fastrand::Rng::with_seed(seed.wrapping_add(number));
            let builder = thread::Builder::new().stack_size(STACK);
            builder.spawn_scoped(scope, || self.run_client(random))?;
        }
        Ok(())
    }

    /// Pauses, and returns when no request is on its way and no connection is open.
    pub(crate) fn pause(&self) {
        self.due_times.pause(CLIENTS);
    }

    pub(crate) fn resume(&self) {
        self.due_times.resume();
    }

    pub(crate) fn end(&self) {
        self.due_times.end();
    }

    pub(crate) fn print_second(&self) {
        if let Some(second) = self.tally.second(self.clock.seconds(), self.target) {
            print(&LoadReport::Second(second));
        }
    }

    fn run_client(&self, mut random: fastrand::Rng) {
        let mut client = Client::new(self.addresses);
        while let Some(due) = self.due_times.take(|| client.rest()) {
            let request = Request::random(&mut random, &self.file);
            let is_fresh = random.u32(0..REQUESTS_FOR_A_FRESH_CONNECTION) == 0;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let mut outcome = self.ask(&mut client, &request, is_fresh);
            if let Err(How::Stale) = outcome {
                outcome = self.ask(&mut client, &request, true);
            }
            if outcome.is_ok() {
                self.tally.count_answer(due.elapsed().saturating_sub(request.own_time));
            }
        }
    }

    /// Sends a request. Prints and counts a failure.
    fn ask(&self, client: &mut Client, request: &Request, is_fresh: bool) -> Result<(), How> {
        let begun = self.clock.seconds();
        client.ask(request, is_fresh).map_err(|Failed { how, idle, detail }| {
            self.tally.count_failure();
            let begun = begun - idle.as_secs_f64();
            let (at, target, kind) = (self.clock.seconds(), self.target, request.kind);
            print(&LoadReport::Failure(Failure { begun, at, target, kind, how, detail }));
            how
        })
    }
}
