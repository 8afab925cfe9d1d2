//! What an HTTP request costs its client in CPU time. The client is a process of its own, on the
//! core of the load. The floor serves it on the other core.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::child;
use crate::clients::{CLIENTS, Client, Target};
use crate::costs::Costs;
use crate::cpu::Used;
use crate::load::WATCHDOG;
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::round::Round;
use crate::service::{BODY, HELLO, Service};
use crate::table::Table;

const SERVER: &str = "raw";

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let mut tables = Vec::new();
    for (service, body_len, body, size) in [
        (Service::Http, HELLO.len(), "13 bytes", "small"),
        (Service::HttpLarge, BODY, "10 KiB", "large"),
    ] {
        for at_once in [1, 64] {
            let title = format!("A client that sends {at_once} at a time, for answers of {body}");
            let mut costs: Vec<_> =
                CLIENTS.iter().map(|client| (client.name, Costs::default())).collect();
            let steps = plan.progress(&title, plan.rounds * CLIENTS.len());
            for place in plan.turns(CLIENTS.len()) {
                steps.set_message(CLIENTS[place].name);
                let process = Process::start(ServerArgs::new(SERVER, service), &[])?;
                let target = Target { port: process.address.port(), body_len, at_once };
                costs[place].1.add(&one_round(plan, &CLIENTS[place], target)?);
                process.end()?;
                steps.inc(1);
            }
            steps.finish_and_clear();
            let name = format!("http-client-{size}-{at_once}");
            tables.push(Costs::table(&name, &title, "client", costs));
        }
    }
    Ok(tables)
}

/// Starts the client process, and returns what it has used.
fn one_round(plan: &Plan, client: &Client, target: Target) -> io::Result<Round> {
    let arguments = [
        "fetch".to_owned(),
        client.name.to_owned(),
        target.port.to_string(),
        target.body_len.to_string(),
        target.at_once.to_string(),
        plan.time.as_secs_f64().to_string(),
    ];
    let [answered, time, all, user_ticks, kernel_ticks] = child::numbers(&arguments)?;
    let used = Used { all: Duration::from_nanos(all), user_ticks, kernel_ticks };
    Ok(Round { answered, time: Duration::from_nanos(time), used })
}

/// Runs in the client process: fetches for `time`, and prints the round.
pub(crate) fn fetch(client: &Client, target: Target, time: Duration) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    thread::spawn(move || {
        thread::sleep(time + WATCHDOG);
        eprintln!("the server does not answer");
        std::process::exit(1);
    });
    let round = Round::run((client.open)(target)?, time, || Used::by(std::process::id()))?;
    let (Round { answered, time, .. }, Used { all, user_ticks, kernel_ticks }) =
        (round, round.used);
    println!("{answered} {} {} {user_ticks} {kernel_ticks}", time.as_nanos(), all.as_nanos());
    Ok(())
}
