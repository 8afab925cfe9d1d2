//! What open connections without requests cost the requests of others.

use std::io;
use std::net::TcpStream;

use crate::exchange::Exchange;
use crate::load::{PingPong, hold};
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::round::Round;
use crate::servers::Server;
use crate::table::{Cell, Table};

/// Open connections, in ascending order, and the titles of their columns.
const OPEN: [(usize, &str); 6] =
    [(1, "1"), (10, "10"), (100, "100"), (1_000, "1,000"), (10_000, "10,000"), (19_000, "19,000")];
/// So many of them send requests at most.
const ACTIVE: usize = 64;
/// A short plan opens no more than this.
const SHORT: usize = 1_000;

const METHOD: &str = "At most 64 of the connections send 64 bytes and wait for their echo. The others are silent; half of them had \
                      one request answered before. CPU time of the server by the kernel's scheduler, for a request.";

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let title = "An echo on at most 64 of many open connections: CPU time of the server";
    let is_wanted = |(open, _): &(usize, _)| !plan.is_short || *open <= SHORT;
    let (opens, titles): (Vec<_>, Vec<_>) = OPEN.into_iter().filter(is_wanted).unzip();
    let servers = plan.offering(Exchange::Echo.service());
    let mut figures: Vec<_> = servers.iter().map(|_| vec![Vec::new(); opens.len()]).collect();
    let steps = plan.progress(title, plan.rounds * servers.len());
    for place in plan.turns(servers.len()) {
        let server = servers[place];
        steps.set_message(server.name);
        let costs = one_round(plan, server, &opens).map_err(|error| server.failed(error))?;
        figures[place].iter_mut().zip(costs).for_each(|(rounds, cost)| rounds.push(cost));
        steps.inc(1);
    }
    steps.finish_and_clear();
    let mut table = Table::new("connections", title, "server").method(METHOD);
    for title in titles {
        table = table.column(title, "µs", 2);
    }
    for (server, figures) in servers.iter().zip(figures) {
        table.row(server.name, figures.iter().map(|rounds| Cell::of(rounds)).collect());
    }
    Ok(vec![table])
}

/// Returns microseconds a request for each number of open connections. One server process gets
/// more and more of them.
fn one_round(plan: &Plan, server: &Server, opens: &[usize]) -> io::Result<Vec<f64>> {
    let process = Process::start(ServerArgs::new(server.name, Exchange::Echo.service()), &[])?;
    let mut silent: Vec<TcpStream> = Vec::new();
    let mut costs = Vec::new();
    for open in opens {
        let active = ACTIVE.min(*open);
        silent.append(&mut hold(process.address, open - active - silent.len())?);
        let mut load = PingPong::open(process.address, active, Exchange::Echo)?;
        let ask = Box::new(move |until| load.run(until));
        let round = Round::run(ask, plan.time / 2, || process.used())?;
        costs.push(round.used.all.as_secs_f64() * 1e6 / round.answered as f64);
    }
    drop(silent);
    process.end()?;
    Ok(costs)
}
