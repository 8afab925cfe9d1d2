//! Throughput and CPU cost of large transfers.

use std::io;
use std::time::Instant;

use crate::load::{drain, fill};
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::service::Service;
use crate::table::{Cell, Table};

const BYTES: usize = 1 << 30;

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let mut tables = Vec::new();
    for (service, streams, title) in [
        (Service::Sink, 1, "1 GiB to the server on one stream"),
        (Service::Sink, 64, "1 GiB to the server on 64 streams"),
        (Service::Source, 1, "1 GiB from the server on one stream"),
        (Service::Source, 64, "1 GiB from the server on 64 streams"),
    ] {
        let servers = plan.offering(service);
        let mut figures: Vec<_> = servers.iter().map(|_| (Vec::new(), Vec::new())).collect();
        let steps = plan.progress(title, plan.rounds * servers.len());
        for place in plan.turns(servers.len()) {
            let (server, (rates, costs)) = (servers[place], &mut figures[place]);
            steps.set_message(server.name);
            let process = Process::start(ServerArgs::new(server.name, service), &[])?;
            let transfer = if service == Service::Sink { fill } else { drain };
            let begin = Instant::now();
            transfer(process.address, streams, BYTES / streams)?;
            rates.push(1.0 / begin.elapsed().as_secs_f64());
            costs.push(process.used()?.all.as_secs_f64() * 1e3);
            process.end()?;
            steps.inc(1);
        }
        steps.finish_and_clear();
        let name = format!("bulk-{}-{streams}", service.name());
        let mut table = Table::new(&name, title, "server").column("GiB a second", "", 2).column(
            "CPU of the server",
            "ms a GiB",
            0,
        );
        for (server, (rates, costs)) in servers.iter().zip(&figures) {
            table.row(server.name, vec![Cell::of(rates), Cell::of(costs)]);
        }
        tables.push(table);
    }
    Ok(tables)
}
