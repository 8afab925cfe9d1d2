//! How long an HTTP request waits for its answer: at half of the rate that its server reaches, and
//! at one rate for all servers.

use std::io;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::exchange::Exchange;
use crate::figure::percentile;
use crate::load::OpenLoop;
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::round::{Round, warm_up};
use crate::servers::{Server, TORNADO};
use crate::table::{Cell, Table};
use crate::timing::{CONNECTIONS, load};

/// In tenths of a percent.
const PERCENTILES: [usize; 3] = [500, 990, 999];
/// How the figures were measured.
const METHOD: &str = "Requests are due at fixed times, whether or not the earlier ones are answered, and a latency counts from the \
                      due time. So a late server gets no fewer requests.";

/// The figures of one server, one for each round.
#[derive(Default)]
struct Latencies {
    /// Requests a second that were sent.
    rates: Vec<f64>,
    /// Microseconds, by percentile.
    waits: [Vec<f64>; 3],
}

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let servers = plan.offering(Exchange::Http.service());
    let steps = plan.progress("latency", 2 * plan.rounds * servers.len());
    let mut at_half: Vec<_> = servers.iter().map(|_| Latencies::default()).collect();
    for place in plan.turns(servers.len()) {
        let server = servers[place];
        let half = |process: &Process| Ok(reached(process, plan.time)? / 2.0);
        at_half[place].add_round(plan, server, &steps, half)?;
    }
    let compared = servers.iter().zip(&at_half).filter(|(server, _)| server.name != TORNADO);
    let common = compared.map(|(_, latencies)| latencies.rate()).fold(f64::INFINITY, f64::min);
    let mut at_common: Vec<_> = servers.iter().map(|_| Latencies::default()).collect();
    for place in plan.turns(servers.len()) {
        // Tornado would only show how its queue grows.
        if servers[place].name == TORNADO {
            steps.inc(1);
        } else {
            at_common[place].add_round(plan, servers[place], &steps, |_| Ok(common))?;
        }
    }
    steps.finish_and_clear();
    Ok(vec![
        table("http-latency-half", "at half of the server's own rate", &servers, &at_half),
        table("http-latency-same", "at the same rate for all", &servers, &at_common),
    ])
}

/// Returns the requests a second that the server can answer.
fn reached(process: &Process, time: Duration) -> io::Result<f64> {
    let ask = load(process, Exchange::Http, CONNECTIONS)?;
    Ok(Round::run(ask, time, || process.used())?.rate())
}

impl Latencies {
    /// Starts the server, and sends requests at the rate that `rate` chooses for it.
    fn add_round(
        &mut self,
        plan: &Plan,
        server: &Server,
        steps: &ProgressBar,
        rate: impl FnOnce(&Process) -> io::Result<f64>,
    ) -> io::Result<()> {
        steps.set_message(server.name);
        let run = || {
            let process =
                Process::start(ServerArgs::new(server.name, Exchange::Http.service()), &[])?;
            let rate = rate(&process)?;
            let mut load = OpenLoop::open(process.address, CONNECTIONS, Exchange::Http)?;
            load.run(rate, warm_up(plan.time))?;
            let latencies = load.run(rate, plan.time)?.served;
            process.end()?;
            Ok((rate, latencies))
        };
        let (rate, latencies) = run().map_err(|error| server.failed(error))?;
        self.rates.push(rate);
        for (waits, tenths) in self.waits.iter_mut().zip(PERCENTILES) {
            waits.push(percentile(&latencies, tenths).as_secs_f64() * 1e6);
        }
        steps.inc(1);
        Ok(())
    }

    /// The median of the rates.
    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(f64::INFINITY)
    }
}

fn table(name: &str, rate: &str, servers: &[&Server], latencies: &[Latencies]) -> Table {
    let title = format!("Latency of an HTTP request on 64 connections, {rate}");
    let mut table = Table::new(name, &title, "server")
        .method(METHOD)
        .column("1,000 requests a second", "", 1)
        .column("p50", "µs", 0)
        .column("p99", "µs", 0)
        .column("p99.9", "µs", 0);
    for (server, latencies) in servers.iter().zip(latencies) {
        if latencies.rates.is_empty() {
            continue;
        }
        let rates: Vec<_> = latencies.rates.iter().map(|rate| rate / 1e3).collect();
        let mut row = vec![Cell::of(&rates)];
        row.extend(latencies.waits.iter().map(|waits| Cell::of(waits)));
        table.row(server.name, row);
    }
    table
}
