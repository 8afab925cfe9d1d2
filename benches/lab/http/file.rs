//! What it costs to serve a file of 1 MiB that the kernel has in memory.

use std::io;

use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::service::FILE;
use crate::table::Table;
use crate::timing;

pub(crate) fn measure(plan: &Plan) -> io::Result<()> {
    let title = "64 connections fetch a file of 1 MiB";
    let mut table = Table::new(&["server", "CPU, µs a file", "MiB a second"]);
    for (server, costs) in timing::costs(plan, Exchange::HttpFile, title)? {
        let mebibyte = (1 << 20) as f64 / FILE as f64;
        table.row(vec![server.name.to_owned(), costs.cpu_time(), costs.rate(mebibyte)]);
    }
    table.print(title);
    Ok(())
}
