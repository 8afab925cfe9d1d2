//! What it costs to serve a file of 1 MiB that the kernel has in memory.

use std::io;

use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::service::FILE;
use crate::table::Table;
use crate::timing;

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let title = "64 connections fetch a file of 1 MiB";
    let mut table = Table::new(Exchange::HttpFile.name(), title, "server")
        .column("CPU", "µs a file", 1)
        .column("MiB a second", "", 0);
    for (server, costs) in timing::costs(plan, Exchange::HttpFile, title)? {
        let mebibyte = (1 << 20) as f64 / FILE as f64;
        table.row(server.name, vec![costs.cpu_time(), costs.rate(mebibyte)]);
    }
    Ok(vec![table])
}
