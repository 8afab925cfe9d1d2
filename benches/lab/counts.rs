//! The cost of a request to its server in instructions and in system calls. These hardly
//! vary from run to run, unlike times.
//!
//! The figures are the difference between two runs of different lengths, so that work which a
//! server does once is not counted.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::exchange::Exchange;
use crate::load::Until;
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::servers::Server;
use crate::table::{Cell, Table};
use crate::timing::{CONNECTIONS, load};

/// The numbers of requests in the shorter and in the longer run.
const RUNS: [u64; 2] = [2_000, 12_000];
/// How the figures were measured.
const METHOD: &str = "The difference between a run of 12,000 requests on 64 connections and one of 2,000, so that work which a \
                      server does once is not counted.";

/// User-space instructions by callgrind.
pub(crate) fn instructions(plan: &Plan) -> io::Result<Vec<Table>> {
    // valgrind knows no io_uring, and the other programs do not run in the process that it starts.
    let is_countable = |server: &&Server| {
        let offers = |exchange: Exchange| server.offers(exchange.service());
        !server.is_uring && !server.is_external() && Exchange::COUNTED.into_iter().any(offers)
    };
    let servers: Vec<_> = plan.servers.iter().copied().filter(is_countable).collect();
    let steps = plan.progress("instructions", servers.len() * Exchange::COUNTED.len());
    let title = "User-space instructions of the server for a request, by callgrind";
    let mut table = Table::new("instructions", title, "server").method(METHOD);
    for exchange in Exchange::COUNTED {
        table = table.column(exchange.title(), "", 0);
    }
    for server in servers {
        let mut row = Vec::new();
        for exchange in Exchange::COUNTED {
            steps.set_message(server.name);
            row.push(if server.offers(exchange.service()) {
                Cell::once(instructions_each(plan, server, exchange)?)
            } else {
                Cell::Empty
            });
            steps.inc(1);
        }
        table.row(server.name, row);
    }
    steps.finish_and_clear();
    Ok(vec![table])
}

/// The instructions of a server for one request.
pub(crate) fn instructions_each(
    plan: &Plan,
    server: &Server,
    exchange: Exchange,
) -> io::Result<f64> {
    let [short, long] = RUNS.map(|n| callgrind(plan, server, exchange, n));
    Ok((long? - short?) as f64 / (RUNS[1] - RUNS[0]) as f64)
}

fn callgrind(plan: &Plan, server: &Server, exchange: Exchange, requests: u64) -> io::Result<u64> {
    let file = scratch("callgrind");
    let tool = "valgrind -q --tool=callgrind --callgrind-out-file=";
    let text = under(server, exchange, &format!("{tool}{}", file.display()), requests, &file)?;
    if let Some(directory) = &plan.kept_files {
        let name = format!("{}-{}-{requests}.callgrind", server.name, exchange.name());
        fs::write(directory.join(name), &text)?;
    }
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    totals
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| io::Error::other("callgrind has written no totals"))
}

/// System calls by strace, in total and by name.
pub(crate) fn calls(plan: &Plan) -> io::Result<Vec<Table>> {
    let mut tables = Vec::new();
    for exchange in Exchange::COUNTED {
        let servers = plan.offering(exchange.service());
        let title = format!("System calls of the server for a request: {}", exchange.title());
        let steps = plan.progress(&title, servers.len());
        let name = format!("calls-{}", exchange.name());
        let mut table = Table::new(&name, &title, "server")
            .method(METHOD)
            .column("calls a request", "", 2)
            .column("which", "", 0);
        for server in servers {
            steps.set_message(server.name);
            let [short, long] = RUNS.map(|n| strace(server, exchange, n));
            let (short, long) = (short?, long?);
            let mut each: Vec<_> = long
                .iter()
                .map(|(name, count)| {
                    let more = count.saturating_sub(*short.get(name).unwrap_or(&0));
                    (more as f64 / (RUNS[1] - RUNS[0]) as f64, name)
                })
                .collect();
            let sum: f64 = each.iter().map(|(each, _)| each).sum();
            each.retain(|(each, _)| *each >= 0.005);
            each.sort_by(|a, b| b.0.total_cmp(&a.0));
            let names: Vec<_> =
                each.iter().map(|(each, name)| format!("{name} {each:.2}")).collect();
            table.row(server.name, vec![Cell::once(sum), Cell::Text(names.join(", "))]);
            steps.inc(1);
        }
        steps.finish_and_clear();
        tables.push(table);
    }
    Ok(tables)
}

fn strace(server: &Server, exchange: Exchange, n: u64) -> io::Result<BTreeMap<String, u64>> {
    let file = scratch("strace");
    let tool = format!("strace -f -c -U calls,name -o {}", file.display());
    let text = under(server, exchange, &tool, n, &file)?;
    Ok(summary(&text))
}

/// Parses the counts of `strace -c -U calls,name`.
pub(crate) fn summary(text: &str) -> BTreeMap<String, u64> {
    let row = |line: &str| {
        let (count, name) = line.trim().split_once(' ')?;
        Some((name.trim().to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(row).filter(|(name, _)| name != "total").collect()
}

/// Runs a server under a tool, and returns the file that the tool has written.
fn under(
    server: &Server,
    exchange: Exchange,
    tool: &str,
    requests: u64,
    file: &Path,
) -> io::Result<String> {
    let tool: Vec<_> = tool.split(' ').map(str::to_owned).collect();
    let process = Process::start(ServerArgs::new(server.name, exchange.service()), &tool)?;
    let answered = load(&process, exchange, CONNECTIONS)?(Until::Requests(requests))?;
    assert_eq!(answered, requests, "the load sends exactly the given number of requests");
    process.end()?;
    let text = fs::read_to_string(file)?;
    fs::remove_file(file)?;
    Ok(text)
}

pub(crate) fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("squall-lab-{name}-{}", std::process::id()))
}
