//! All that the lab can measure.

use std::io;

use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::{accepted, bulk, counts, fairness, full, http, idle, timing};

/// A measurement that the command line can name.
pub(crate) struct Measurement {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) run: fn(&Plan) -> io::Result<()>,
    /// Whether another measurement contains this one.
    pub(crate) is_part: bool,
}

impl Measurement {
    const fn new(
        name: &'static str,
        help: &'static str,
        run: fn(&Plan) -> io::Result<()>,
    ) -> Measurement {
        Measurement { name, help, run, is_part: false }
    }

    const fn part(self) -> Measurement {
        Measurement { is_part: true, ..self }
    }
}

/// In the order in which `all` runs those that are no part of another.
pub(crate) static MEASUREMENTS: &[Measurement] = &[
    Measurement::new(
        "echo",
        "CPU time of a request: 64 connections send 64 bytes and wait for them",
        |plan| {
            timing::measure(plan, Exchange::Echo, "64 connections send 64 bytes and wait for them")
        },
    ),
    Measurement::new(
        "connect",
        "CPU time of a connection: connect, 64 bytes each way, close",
        |plan| {
            let title = "A connection a request: connect, 64 bytes each way, close";
            timing::measure(plan, Exchange::Connection, title)
        },
    ),
    Measurement::new("http", "all that follows with `http-`", http::all),
    Measurement::new(
        "http-kept",
        "CPU time of an HTTP request on a connection that stays open, then of 16 at once",
        http::kept,
    )
    .part(),
    Measurement::new(
        "http-close",
        "CPU time of an HTTP request with a connection of its own",
        http::close,
    )
    .part(),
    Measurement::new("http-echo", "CPU time of 10 KiB by POST that come back", http::echo).part(),
    Measurement::new(
        "http-latency",
        "latency at half load, and at the same load for all; requests are due at fixed times",
        http::latency::measure,
    )
    .part(),
    Measurement::new("http-file", "CPU time of a file of 1 MiB", http::file::measure).part(),
    Measurement::new(
        "http-workers",
        "CPU time with one and two threads of squall",
        http::workers::measure,
    )
    .part(),
    Measurement::new(
        "http-client",
        "CPU time of an HTTP request in the client: one and 64 at a time, 13 bytes and 10 KiB",
        http::fetches::measure,
    )
    .part(),
    Measurement::new(
        "instructions",
        "user-space instructions of these, by callgrind (needs valgrind)",
        counts::instructions,
    ),
    Measurement::new(
        "changes",
        "squall's instructions beside the accepted ones in benches/accepted_instructions.txt",
        accepted::compare,
    ),
    Measurement::new("calls", "system calls of these, by strace (needs strace)", counts::calls),
    Measurement::new(
        "idle",
        "heap, memory and CPU time of 19,000 connections on which nothing happens",
        idle::measure,
    ),
    Measurement::new(
        "bulk",
        "1 GiB to and from the server, on one stream and on 64",
        bulk::measure,
    ),
    Measurement::new(
        "fairness",
        "how long a ping waits while something else keeps squall's loop busy",
        fairness::measure,
    ),
    Measurement::new(
        "full",
        "squall while its descriptors have run out, and after (needs strace)",
        full::measure,
    ),
];

pub(crate) fn named(name: &str) -> Result<&'static Measurement, String> {
    let found = MEASUREMENTS.iter().find(|measurement| measurement.name == name);
    found.ok_or_else(|| format!("no measurement is called {name:?}"))
}
