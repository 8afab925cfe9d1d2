//! Throughput and CPU cost of large transfers.

use std::io;
use std::time::Instant;

use crate::load::{drain, fill};
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::service::Service;
use crate::table::{Table, spread};

const BYTES: usize = 1 << 30;

pub(crate) fn measure(plan: &Plan) -> io::Result<()> {
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
        let mut table = Table::new(&["server", "GiB a second", "CPU of the server, ms a GiB"]);
        for (server, (rates, costs)) in servers.iter().zip(&figures) {
            table.row(vec![server.name.to_owned(), spread(rates, 2), spread(costs, 0)]);
        }
        table.print(title);
    }
    Ok(())
}
