//! What a second thread costs: squall with one loop and with two, under the same load. Each loop
//! has a thread, and the kernel chooses the cores: the server shares them with the load.

use std::io;

use crate::costs::Costs;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::servers;
use crate::table::Table;
use crate::timing::one_round;

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let title =
        "squall with one loop and with two, on any core; 64 connections send an HTTP request";
    let server = servers::named("squall").map_err(io::Error::other)?;
    let mut costs =
        [Exchange::OneWorker, Exchange::TwoWorkers].map(|exchange| (exchange, Costs::default()));
    let steps = plan.progress(title, plan.rounds * costs.len());
    for place in plan.turns(costs.len()) {
        let (exchange, costs) = &mut costs[place];
        steps.set_message(exchange.title());
        costs.add(&one_round(plan, server, *exchange).map_err(|error| server.failed(error))?);
        steps.inc(1);
    }
    steps.finish_and_clear();
    let rows = costs.into_iter().map(|(exchange, costs)| (exchange.title(), costs));
    Ok(vec![Costs::table("http-workers", title, "server", rows)])
}
