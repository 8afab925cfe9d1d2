//! The cost of a request to its server in CPU time.

use std::io;
use std::time::{Duration, Instant};

use crate::cpu::Used;
use crate::exchange::Exchange;
use crate::load::{PingPong, Until, churn};
use crate::plan::Plan;
use crate::process::{Process, ServerArgs};
use crate::table::{Table, spread};

/// The connections of `echo`, and the connections that `connect` has open at once.
pub(crate) const CONNECTIONS: usize = 64;
/// The load runs for this time before the measurement begins.
const WARM_UP: Duration = Duration::from_millis(300);

#[derive(Default)]
struct Figures {
    user: Vec<f64>,
    kernel: Vec<f64>,
    rate: Vec<f64>,
}

pub(crate) fn measure(plan: &Plan, exchange: Exchange, title: &str) -> io::Result<()> {
    let servers = plan.offering(exchange.service());
    let mut figures: Vec<_> = servers.iter().map(|_| Figures::default()).collect();
    let steps = plan.progress(title, plan.rounds * servers.len());
    for place in plan.turns(servers.len()) {
        let (server, figures) = (servers[place], &mut figures[place]);
        steps.set_message(server.name);
        let process = Process::start(ServerArgs::new(server.name, exchange.service()), &[])?;
        let (answered, used, time) = one_round(&process, exchange, plan.time)?;
        process.end()?;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / answered as f64;
        figures.user.push(each(used.user()));
        figures.kernel.push(each(used.all - used.user()));
        figures.rate.push(answered as f64 / time.as_secs_f64() / 1e3);
        steps.inc(1);
    }
    steps.finish_and_clear();
    let head =
        ["server", "user, µs a request", "kernel, µs", "both, µs", "1,000 requests a second"];
    let mut table = Table::new(&head);
    for (server, figures) in servers.iter().zip(&figures) {
        let both: Vec<_> = figures.user.iter().zip(&figures.kernel).map(|(a, b)| a + b).collect();
        table.row(vec![
            server.name.to_owned(),
            spread(&figures.user, 1),
            spread(&figures.kernel, 1),
            spread(&both, 2),
            spread(&figures.rate, 0),
        ]);
    }
    table.print(title);
    Ok(())
}

fn one_round(
    process: &Process,
    exchange: Exchange,
    time: Duration,
) -> io::Result<(u64, Used, Duration)> {
    let mut ask: Box<dyn FnMut(Until) -> io::Result<u64>> = match exchange {
        Exchange::Connection => Box::new(|until| churn(process.address, CONNECTIONS, until)),
        _ => {
            let mut load = PingPong::open(process.address, CONNECTIONS, exchange)?;
            Box::new(move |until| load.run(until))
        }
    };
    ask(Until::Time(WARM_UP))?;
    let (before, begin) = (process.used()?, Instant::now());
    let answered = ask(Until::Time(time))?;
    Ok((answered, process.used()?.since(before), begin.elapsed()))
}
