//! All that the lab can measure.

use std::io;

use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::table::Table;
use crate::{accepted, bulk, connections, counts, fairness, full, http, idle, timers, timing};

/// A measurement that the command line can name.
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) run: fn(&Plan) -> io::Result<Vec<Table>>,
    /// Whether a short run contains it: it takes no longer than its rounds.
    is_short: bool,
}

impl Measurement {
    const fn new(
        name: &'static str,
        help: &'static str,
        run: fn(&Plan) -> io::Result<Vec<Table>>,
    ) -> Measurement {
        Measurement { name, help, run, is_short: true }
    }

    const fn long(self) -> Measurement {
        Measurement { is_short: false, ..self }
    }
}

/// Names for several measurements at once.
pub(crate) const GROUPS: [(&str, &str); 3] = [
    ("http", "all that begin with `http-`"),
    (
        "report",
        "all but `changes`; of a short plan, only those that take no longer than their rounds",
    ),
    ("all", "all of these"),
];

/// In the order in which the groups run them.
pub(crate) static MEASUREMENTS: &[Measurement] = &[
    Measurement::new(
        "echo",
        "CPU time of a request: 64 connections send 64 bytes and wait for them",
        |plan| {
            let title = "64 connections send 64 bytes and wait for them";
            Ok(vec![timing::measure(plan, Exchange::Echo, title)?])
        },
    ),
    Measurement::new(
        "connect",
        "CPU time of a connection: connect, 64 bytes each way, close",
        |plan| {
            let title = "A connection a request: connect, 64 bytes each way, close";
            Ok(vec![timing::measure(plan, Exchange::Connection, title)?])
        },
    ),
    Measurement::new(
        "connections",
        "CPU time of an echo on at most 64 of 1 to 19,000 open connections",
        connections::measure,
    ),
    Measurement::new(
        "http-kept",
        "CPU time of an HTTP request on a connection that stays open, then of 16 at once",
        http::kept,
    ),
    Measurement::new(
        "http-close",
        "CPU time of an HTTP request with a connection of its own",
        http::close,
    ),
    Measurement::new("http-echo", "CPU time of 10 KiB by POST that come back", http::echo),
    Measurement::new(
        "http-latency",
        "latency at half load, and at the same load for all; requests are due at fixed times",
        http::latency::measure,
    ),
    Measurement::new(
        "http-overload",
        "squall under half to twice the requests that it can answer, each with 200 µs of work",
        http::overload::measure,
    ),
    Measurement::new("http-file", "CPU time of a file of 1 MiB", http::file::measure),
    Measurement::new(
        "http-workers",
        "CPU time with one and two threads of squall",
        http::workers::measure,
    ),
    Measurement::new(
        "http-client",
        "CPU time of an HTTP request in the client: one and 64 at a time, 13 bytes and 10 KiB",
        http::fetches::measure,
    ),
    Measurement::new("timer-error", "how late sleeps of 50 µs to 50 ms end", timers::lateness),
    Measurement::new(
        "timers",
        "CPU time of a timer that is cancelled or fires, with 10³ to 10⁶ armed",
        timers::armed,
    ),
    Measurement::new(
        "instructions",
        "user-space instructions of these, by callgrind (needs valgrind)",
        counts::instructions,
    )
    .long(),
    Measurement::new(
        "changes",
        "squall's instructions beside the accepted ones in benches/accepted_instructions.txt",
        accepted::compare,
    )
    .long(),
    Measurement::new("calls", "system calls of these, by strace (needs strace)", counts::calls)
        .long(),
    Measurement::new(
        "idle",
        "heap, memory and CPU time of 19,000 connections on which nothing happens",
        idle::measure,
    )
    .long(),
    Measurement::new(
        "bulk",
        "1 GiB to and from the server, on one stream and on 64",
        bulk::measure,
    )
    .long(),
    Measurement::new(
        "fairness",
        "how long a ping waits while something else keeps squall's loop busy",
        fairness::measure,
    ),
    Measurement::new(
        "full",
        "squall while its descriptors have run out, and after (needs strace)",
        full::measure,
    )
    .long(),
];

/// The measurements that have this name, or are in the group of this name.
pub(crate) fn named(name: &str, plan: &Plan) -> Result<Vec<&'static Measurement>, String> {
    let is_wanted = |measurement: &&Measurement| match name {
        "all" => true,
        "report" => measurement.name != "changes" && (measurement.is_short || !plan.is_short),
        "http" => measurement.name.starts_with("http-"),
        name => measurement.name == name,
    };
    let found: Vec<_> = MEASUREMENTS.iter().filter(is_wanted).collect();
    if found.is_empty() { Err(format!("no measurement is called {name:?}")) } else { Ok(found) }
}
