//! How long an HTTP request waits for its answer: at half of the rate that its server reaches, and
//! at one rate for all servers.

use std::io;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::exchange::Exchange;
use crate::load::OpenLoop;
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::round::{Round, WARM_UP};
use crate::servers::{Server, TORNADO};
use crate::table::{Table, spread};
use crate::timing::{CONNECTIONS, load};

/// In tenths of a percent.
const PERCENTILES: [usize; 3] = [500, 990, 999];

/// The figures of one server, one for each round.
#[derive(Default)]
struct Latencies {
    /// Requests a second that were sent.
    rates: Vec<f64>,
    /// Microseconds, by percentile.
    waits: [Vec<f64>; 3],
}

pub(crate) fn measure(plan: &Plan) -> io::Result<()> {
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
    let title = "Latency of an HTTP request on 64 connections";
    print(&format!("{title}, at half of the server's own rate"), &servers, &at_half);
    print(&format!("{title}, at the same rate for all"), &servers, &at_common);
    Ok(())
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
            load.run(rate, WARM_UP)?;
            let latencies = load.run(rate, plan.time)?;
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

/// The time within which this part of the requests was answered. Zero without requests.
fn percentile(sorted: &[Duration], tenths: usize) -> Duration {
    let rank = (sorted.len() * tenths).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn print(title: &str, servers: &[&Server], latencies: &[Latencies]) {
    let head = ["server", "1,000 requests a second", "p50, µs", "p99, µs", "p99.9, µs"];
    let mut table = Table::new(&head);
    for (server, latencies) in servers.iter().zip(latencies) {
        if latencies.rates.is_empty() {
            continue;
        }
        let rates: Vec<_> = latencies.rates.iter().map(|rate| rate / 1e3).collect();
        let mut row = vec![server.name.to_owned(), spread(&rates, 1)];
        row.extend(latencies.waits.iter().map(|waits| spread(waits, 0)));
        table.row(row);
    }
    table.print(title);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_latency_of_the_last_request_within_it() {
        let latencies: Vec<_> = (1..=1000).map(Duration::from_micros).collect();
        let at = |tenths| percentile(&latencies, tenths).as_micros();
        assert_eq!((at(500), at(990), at(999), at(1000)), (500, 990, 999, 1000));
        assert_eq!(percentile(&latencies[..3], 500), latencies[1]);
        assert_eq!(percentile(&latencies[..1], 999), latencies[0]);
        assert_eq!(percentile(&[], 500), Duration::ZERO);
    }
}
