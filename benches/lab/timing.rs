//! The cost of a request to its server in CPU time.

use std::io;

use crate::costs::Costs;
use crate::exchange::Exchange;
use crate::load::{Churn, PingPong};
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::round::{Ask, Round};
use crate::servers::Server;
use crate::table::Table;

/// The connections that are open at once.
pub(crate) const CONNECTIONS: usize = 64;

/// Measures what this exchange costs each server.
pub(crate) fn measure(plan: &Plan, exchange: Exchange, title: &str) -> io::Result<Table> {
    let costs = costs(plan, exchange, title)?;
    let rows = costs.into_iter().map(|(server, costs)| (server.name, costs));
    Ok(Costs::table(exchange.name(), title, "server", rows))
}

/// Measures the exchange with each server that offers it.
pub(crate) fn costs(
    plan: &Plan,
    exchange: Exchange,
    title: &str,
) -> io::Result<Vec<(&'static Server, Costs)>> {
    let servers = plan.offering(exchange.service());
    let mut costs: Vec<_> = servers.into_iter().map(|server| (server, Costs::default())).collect();
    let steps = plan.progress(title, plan.rounds * costs.len());
    for place in plan.turns(costs.len()) {
        let (server, costs) = &mut costs[place];
        steps.set_message(server.name);
        costs.add(&one_round(plan, server, exchange).map_err(|error| server.failed(error))?);
        steps.inc(1);
    }
    steps.finish_and_clear();
    Ok(costs)
}

/// Starts the server, and measures one round.
pub(crate) fn one_round(plan: &Plan, server: &Server, exchange: Exchange) -> io::Result<Round> {
    let process = Process::start(ServerArgs::new(server.name, exchange.service()), &[])?;
    let ask = load(&process, exchange, CONNECTIONS)?;
    let round = Round::run(ask, plan.time, || process.used())?;
    process.end()?;
    Ok(round)
}

/// The clients of a server, which repeat an exchange.
pub(crate) fn load(process: &Process, exchange: Exchange, clients: usize) -> io::Result<Ask> {
    if exchange.closes() {
        let mut churn = Churn::new(process.address, clients, exchange)?;
        Ok(Box::new(move |until| churn.run(until)))
    } else {
        let mut connections = PingPong::open(process.address, clients, exchange)?;
        Ok(Box::new(move |until| connections.run(until)))
    }
}
