//! What a server does with more requests than it can answer. Only for squall: the work of a request
//! is the same in every server.

use std::io;
use std::time::Duration;

use crate::exchange::Exchange;
use crate::figure::percentile;
use crate::load::{OpenLoop, Outcome};
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::round::{Round, warm_up};
use crate::table::{Cell, Table};
use crate::timing::{CONNECTIONS, load};

const TITLE: &str = "64 connections send requests that cost 200 µs of work each, at half to twice the rate that the server reaches";
/// How the figures were measured.
const METHOD: &str = "100 % is the rate that the server reaches while every client waits for its answer. Requests are due at fixed \
                      times, and a latency counts from the due time. `MaxDelay` refuses a request if the loop has been busy \
                      for 5 ms before it.";
/// The rate, as a part of what the server reaches, and whether it may refuse.
const RUNS: [(f64, bool); 5] = [(0.5, true), (1.0, true), (1.5, true), (2.0, true), (1.5, false)];

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let steps = plan.progress("overload", RUNS.len());
    let mut table = Table::new("http-overload", TITLE, "load")
        .method(METHOD)
        .column("requests a second", "", 0)
        .column("answered a second", "", 0)
        .column("of what it reaches", "%", 0)
        .column("refused", "%", 1)
        .column("p50", "ms", 1)
        .column("p99", "ms", 1)
        .column("p99.9", "ms", 1)
        .column("p99.9 of refusals", "ms", 1);
    let most = reached(plan.time)?;
    for (part, may_refuse) in RUNS {
        let limit = if may_refuse { "" } else { ", no limit" };
        let name = format!("{:.0} %{limit}", part * 100.0);
        steps.set_message(name.clone());
        let latencies = latencies(plan.time, most * part, may_refuse)?;
        let (served, refused) = (latencies.served.len() as f64, latencies.refused.len() as f64);
        let rate = served / latencies.elapsed.as_secs_f64();
        let of_served = [500, 990, 999].map(|tenths| milliseconds(&latencies.served, tenths));
        let mut row = vec![most * part, rate, 100.0 * rate / most];
        row.push(100.0 * refused / (served + refused));
        row.extend(of_served);
        let mut row: Vec<_> = row.into_iter().map(Cell::once).collect();
        row.push(if latencies.refused.is_empty() {
            Cell::Empty
        } else {
            Cell::once(milliseconds(&latencies.refused, 999))
        });
        table.row(&name, row);
        steps.inc(1);
    }
    steps.finish_and_clear();
    Ok(vec![table])
}

/// Returns the requests a second that the server can answer.
fn reached(time: Duration) -> io::Result<f64> {
    let process = start(Exchange::HttpWork)?;
    let ask = load(&process, Exchange::HttpWork, CONNECTIONS)?;
    let rate = Round::run(ask, time, || process.used())?.rate();
    process.end()?;
    Ok(rate)
}

fn latencies(time: Duration, rate: f64, may_refuse: bool) -> io::Result<Outcome> {
    let exchange = if may_refuse { Exchange::HttpWorkOrRefuse } else { Exchange::HttpWork };
    let process = start(exchange)?;
    let mut load = OpenLoop::open(process.address, CONNECTIONS, exchange)?;
    if may_refuse {
        load = load.allow_refusals();
    }
    load.run(rate, warm_up(time))?;
    let latencies = load.run(rate, time)?;
    process.end()?;
    Ok(latencies)
}

fn start(exchange: Exchange) -> io::Result<Process> {
    Process::start(ServerArgs::new("squall", exchange.service()), &[])
}

fn milliseconds(latencies: &[Duration], tenths: usize) -> f64 {
    percentile(latencies, tenths).as_secs_f64() * 1e3
}
