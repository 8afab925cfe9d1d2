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
use crate::table::Table;

const CONNECTIONS: usize = 19_000;
const WINDOW: Duration = Duration::from_secs(10);
/// A server has handled all that its clients did after this time.
const SETTLED: Duration = Duration::from_millis(500);

pub(crate) fn measure(plan: &Plan) -> io::Result<()> {
    let title = "19,000 idle connections to an echo server, of which half were served once";
    let servers = plan.offering(Service::Echo);
    let steps = plan.progress(title, servers.len());
    let mut table = Table::new(&[
        "server",
        "live heap, bytes each",
        "without the handler's own buffer",
        "RSS, bytes each",
        "CPU in 10 s, ms",
    ]);
    for server in servers {
        steps.set_message(server.name);
        let args = ServerArgs { counts_heap: true, ..ServerArgs::new(server.name, Service::Echo) };
        let mut process = Process::start(args, &[])?;
        drop(hold(process.address, 100)?); // allocates what is allocated only once
        thread::sleep(SETTLED);
        let (heap, resident) = (process.heap()?, resident(process.pid())?);
        let held = hold(process.address, CONNECTIONS)?;
        thread::sleep(SETTLED);
        let each = |bytes: i64| bytes / CONNECTIONS as i64;
        let heap = each(process.heap()? - heap);
        let resident = each(self::resident(process.pid())? - resident);
        let (before, begin) = (process.used()?, Instant::now());
        thread::sleep(WINDOW);
        let used = process.used()?.since(before);
        assert!(begin.elapsed() < WINDOW * 2, "the machine was asleep");
        drop(held);
        process.end()?;
        let milliseconds = format!("{:.1}", used.all.as_secs_f64() * 1e3);
        table.row(vec![
            server.name.to_owned(),
            heap.to_string(),
            (heap - server.buffer as i64).to_string(),
            resident.to_string(),
            milliseconds,
        ]);
        steps.inc(1);
    }
    steps.finish_and_clear();
    table.print(title);
    match kernel_memory::of_an_idle_connection() {
        Ok(bytes) => println!("\nThe kernel's end of a connection takes {bytes} bytes more."),
        Err(error) => println!("\nskipped: the kernel's memory of a connection: {error}"),
    }
    Ok(())
}

/// Returns the bytes of resident memory, by `VmRSS`.
fn resident(pid: u32) -> io::Result<i64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: Option<i64> = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
    kibibytes.map(|kibibytes| kibibytes << 10).ok_or_else(|| io::Error::other("no VmRSS in /proc"))
}
