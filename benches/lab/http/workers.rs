//! What a second thread costs: squall and the floor, each with one loop and with two, under the same
//! load. Each loop has a thread, and the kernel chooses the cores: the server shares them with the load.

use std::io;

use crate::costs::Costs;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::servers::{self, Server};
use crate::table::Table;
use crate::timing::one_round;

const METHOD: &str = "CPU time of the server by the kernel's scheduler, which counts nanoseconds; its parts in user space and in \
                      the kernel are estimated from its ticks. The server and its load share both cores.";

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let title = "One loop and two, on any core; 64 connections send an HTTP request";
    let mut rows = Vec::new();
    for server in ["raw", "squall"] {
        for exchange in [Exchange::OneWorker, Exchange::TwoWorkers] {
            let server = servers::named(server).map_err(io::Error::other)?;
            rows.push((server, exchange, Costs::default()));
        }
    }
    let steps = plan.progress(title, plan.rounds * rows.len());
    for place in plan.turns(rows.len()) {
        let (server, exchange, costs) = &mut rows[place];
        let server = *server;
        steps.set_message(server.name);
        costs.add(&one_round(plan, server, *exchange).map_err(|error| server.failed(error))?);
        steps.inc(1);
    }
    steps.finish_and_clear();
    let named = |(server, exchange, costs): (&'static Server, Exchange, Costs)| {
        (format!("{}, {}", server.name, exchange.title()), costs)
    };
    let table = Costs::table("http-workers", title, "server", rows.into_iter().map(named));
    Ok(vec![table.method(METHOD)])
}
