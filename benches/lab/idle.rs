//! The cost of an idle connection.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::kernel_memory;
use crate::load::hold;
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::service::Service;
use crate::table::{Cell, Table};

const CONNECTIONS: usize = 19_000;
const WINDOW: Duration = Duration::from_secs(10);
/// A server has handled all that its clients did after this time.
const SETTLED: Duration = Duration::from_millis(500);
/// How the figures were measured.
const METHOD: &str = "The growth of the server's heap, by an allocator that counts its live bytes, and of its resident memory \
                      after 100 connections.";

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let title = "19,000 idle connections to an echo server, of which half were served once";
    let servers = plan.offering(Service::Echo);
    let steps = plan.progress(title, servers.len());
    let mut table = Table::new("idle", title, "server")
        .method(METHOD)
        .column("live heap", "bytes each", 0)
        .column("without the handler's own buffer", "bytes each", 0)
        .column("RSS", "bytes each", 0)
        .column("CPU in 10 s", "ms", 1);
    for server in servers {
        steps.set_message(server.name);
        let args = ServerArgs { counts_heap: true, ..ServerArgs::new(server.name, Service::Echo) };
        let mut process = Process::start(args, &[])?;
        drop(hold(process.address, 100)?); // allocates what is allocated only once
        thread::sleep(SETTLED);
        let (heap, resident) = (process.heap()?, resident(process.pid())?);
        let held = hold(process.address, CONNECTIONS)?;
        thread::sleep(SETTLED);
        let each = |bytes: i64| bytes as f64 / CONNECTIONS as f64;
        let heap = each(process.heap()? - heap);
        let resident = each(self::resident(process.pid())? - resident);
        let (before, begin) = (process.used()?, Instant::now());
        thread::sleep(WINDOW);
        let used = process.used()?.since(before);
        assert!(begin.elapsed() < WINDOW * 2, "the machine was asleep");
        drop(held);
        process.end()?;
        let milliseconds = used.all.as_secs_f64() * 1e3;
        let figures = [heap, heap - server.buffer as f64, resident, milliseconds];
        table.row(server.name, figures.map(Cell::once).into());
        steps.inc(1);
    }
    steps.finish_and_clear();
    table.notes.push(match kernel_memory::of_an_idle_connection() {
        Ok(bytes) => format!("The kernel's end of a connection takes {bytes} bytes more."),
        Err(error) => format!("skipped: the kernel's memory of a connection: {error}"),
    });
    Ok(vec![table])
}

/// Returns the bytes of resident memory, by `VmRSS`.
fn resident(pid: u32) -> io::Result<i64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: Option<i64> = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    kibibytes.map(|kibibytes| kibibytes << 10).ok_or_else(|| io::Error::other("no VmRSS in /proc"))
}
