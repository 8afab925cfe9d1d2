//! A client that retries, and a bank that is simulated: for some seed one payment is made twice. Then
//! the same with a bank that knows the payment again.
//!
//! ```text
//! cargo run --release --features sim --example sim_retry
//! ```
//!
//! The client pays over TCP. If no answer comes in a second, it connects again and repeats the
//! request, and nobody can tell a request that was lost from an answer that was. The simulation cuts
//! the link between the two at random times, a thousand times differently.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use squall_net::sim::{Simulation, check, random};
use squall_net::{IoStream, TcpServer, TcpStream, sleep, timeout};

const SEEDS: u64 = 1_000;

/// What the bank has on its disk.
#[derive(Default)]
struct Ledger {
    payments: u32,
    /// The payments that were made, if the bank keeps them.
    known: Option<HashSet<String>>,
}

impl Ledger {
    fn pay(&mut self, name: String) {
        let is_new = self.known.as_mut().is_none_or(|known| known.insert(name));
        self.payments += u32::from(is_new);
    }
}

/// The bank: a line is a payment, by its name.
async fn bank(ledger: Rc<RefCell<Ledger>>) -> io::Result<()> {
    let server = TcpServer::new(async move |mut stream: IoStream, _| {
        let line = stream.read_until(b"\n").await?;
        ledger.borrow_mut().pay(String::from_utf8_lossy(&line).into_owned());
        stream.write("paid\n")?;
        Ok(())
    });
    server.listen("0.0.0.0:80")?;
    server.closed().await
}

/// The client: tries until it knows that the payment was made.
async fn pay(name: u64) -> io::Result<()> {
    loop {
        let attempt = timeout(Duration::from_secs(1), async {
            let mut stream = IoStream::new(TcpStream::connect("bank:80").await?);
            stream.write(format!("payment {name}\n"))?;
            stream.read_until(b"\n").await
        });
        match attempt.await {
            Ok(Ok(_)) => return Ok(()),
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// One payment while the link fails. Returns how often the bank has made it.
fn payments(simulation: &Simulation, keeps_payments: bool) -> u32 {
    let ledger =
        Rc::new(RefCell::new(Ledger { payments: 0, known: keeps_payments.then(HashSet::new) }));
    let of_bank = Rc::clone(&ledger);
    simulation.host("bank", move || bank(Rc::clone(&of_bank)));
    let client = simulation.host("client", || pay(random()));
    simulation.block_on(async {
        while client.is_running() {
            sleep(Duration::from_micros(random() % 10_000)).await;
            simulation.partition("client", "bank");
            sleep(Duration::from_millis(random() % 3_000)).await;
            simulation.heal("client", "bank");
        }
    });
    ledger.take().payments
}

fn main() {
    let doubles = |seed: &u64| payments(&Simulation::new(*seed), false) > 1;
    match (0..SEEDS).find(doubles) {
        None => println!("no seed below {SEEDS} makes a payment twice"),
        Some(seed) => {
            let simulation = Simulation::new(seed);
            let payments = payments(&simulation, false);
            let trace = simulation.trace().tail(30);
            println!("seed {seed}: one payment was made {payments} times\n{trace}");
        }
    }
    check(0..SEEDS, |simulation| assert_eq!(payments(simulation, true), 1));
    println!("{SEEDS} seeds: a bank that keeps the names of payments makes each once");
}
