//! How long a ping waits while something else keeps squall's loop busy. Only for squall: each kind
//! of work is the worst of its kind for a loop with one queue.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use squall_executor::{EventLoop, Handle, yield_now};
use squall_net::{IoStream, TcpServer};

use crate::cpu;
use crate::figure::percentile;
use crate::plan::Plan;
use crate::service::{CHUNK, REQUEST};
use crate::table::{Cell, Table};

/// The time between two pings.
const PAUSE: Duration = Duration::from_millis(1);
/// The most callbacks that are on their way to the loop, so that the memory has a limit.
const MOST_POSTED: usize = 10_000;

/// What keeps the loop busy.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    Nothing,
    SelfWaker,
    Firehose,
    Posters,
}

impl Work {
    const ALL: [Work; 4] = [Work::Nothing, Work::SelfWaker, Work::Firehose, Work::Posters];

    fn name(self) -> &'static str {
        match self {
            Work::Nothing => "nothing",
            Work::SelfWaker => "a task that wakes itself",
            Work::Firehose => "a client that sends as fast as it can",
            Work::Posters => "two threads that add callbacks as fast as they can",
        }
    }
}

/// The addresses of the server, and the door to its loop.
struct Server {
    echo: SocketAddr,
    sink: SocketAddr,
    handle: Handle,
}

pub(crate) fn measure(plan: &Plan) -> io::Result<Vec<Table>> {
    let steps = plan.progress("pings", Work::ALL.len());
    let title = "A ping of 64 bytes every millisecond, beside what keeps squall's loop busy";
    let mut table = Table::new("fairness", title, "beside the ping")
        .column("pings", "", 0)
        .column("p50", "µs", 0)
        .column("p99", "µs", 0)
        .column("longest", "µs", 0);
    for work in Work::ALL {
        steps.set_message(work.name());
        let mut waits = waits(work, plan.time)?;
        waits.sort();
        let at = |tenths| percentile(&waits, tenths).as_secs_f64() * 1e6;
        let mut row = vec![Cell::once(waits.len() as f64)];
        row.extend([500, 990, 1000].map(|tenths| Cell::once(at(tenths))));
        table.row(work.name(), row);
        steps.inc(1);
    }
    steps.finish_and_clear();
    Ok(vec![table])
}

/// The time of each ping.
fn waits(work: Work, time: Duration) -> io::Result<Vec<Duration>> {
    let (send, receive) = mpsc::channel();
    let server = thread::spawn(move || serve(work, &send));
    let addresses = receive.recv().map_err(io::Error::other)?;
    let is_over = Arc::new(AtomicBool::new(false));
    let disturbers = disturb(work, &addresses, &is_over)?;
    let waits = ping(addresses.echo, time);
    is_over.store(true, Ordering::Relaxed);
    addresses.handle.stop();
    for thread in disturbers {
        thread.join().map_err(|_| io::Error::other("a disturber has panicked"))?;
    }
    server.join().map_err(|_| io::Error::other("the server has panicked"))??;
    waits
}

/// Runs the loop of the server until it is stopped.
fn serve(work: Work, started: &mpsc::Sender<Server>) -> io::Result<()> {
    cpu::pin(&[cpu::SERVER])?;
    let event_loop = EventLoop::new()?;
    event_loop.block_on(async {
        let echo = TcpServer::new(async |mut stream: IoStream, _| {
            while stream.fill().await? > 0 {
                let (reader, writer) = stream.halves();
                writer.write_all(reader.buffer()).await?;
                reader.consume(reader.buffer().len());
            }
            Ok(())
        });
        let sink = TcpServer::new(async |mut stream: IoStream, _| {
            while stream.fill().await? > 0 {
                stream.consume(stream.buffer().len());
            }
            Ok(())
        });
        let any = (Ipv4Addr::LOCALHOST, 0);
        let handle = Handle::current();
        let server = Server { echo: echo.listen(any)?, sink: sink.listen(any)?, handle };
        started.send(server).map_err(io::Error::other)
    })?;
    if work == Work::SelfWaker {
        event_loop.spawn(async {
            loop {
                yield_now().await;
            }
        });
    }
    Ok(event_loop.run()?)
}

/// Starts what keeps the loop busy from outside.
fn disturb(
    work: Work,
    server: &Server,
    is_over: &Arc<AtomicBool>,
) -> io::Result<Vec<thread::JoinHandle<()>>> {
    let threads = match work {
        Work::Nothing | Work::SelfWaker => Vec::new(),
        Work::Firehose => {
            let (mut stream, is_over) = (TcpStream::connect(server.sink)?, Arc::clone(is_over));
            vec![thread::spawn(move || {
                yield_the_core();
                // The server's end ends the writing too.
                while !is_over.load(Ordering::Relaxed) && stream.write_all(&[0; CHUNK]).is_ok() {}
            })]
        }
        Work::Posters => {
            let posted = Arc::new(AtomicUsize::new(0));
            let start = |_| {
                let (handle, is_over) = (server.handle.clone(), Arc::clone(is_over));
                let posted = Arc::clone(&posted);
                thread::spawn(move || post(&handle, &posted, &is_over))
            };
            (0..2).map(start).collect()
        }
    };
    Ok(threads)
}

/// Lets the ping, which runs on the same core, go first: only the server's loop is measured.
fn yield_the_core() {
    let _ = rustix::process::nice(19); // if refused, the ping waits for the core too
}

fn post(handle: &Handle, posted: &Arc<AtomicUsize>, is_over: &AtomicBool) {
    yield_the_core();
    while !is_over.load(Ordering::Relaxed) {
        if posted.fetch_add(1, Ordering::Relaxed) >= MOST_POSTED {
            posted.fetch_sub(1, Ordering::Relaxed);
            thread::yield_now();
            continue;
        }
        let count = Arc::clone(posted);
        let run = move || {
            count.fetch_sub(1, Ordering::Relaxed);
        };
        if handle.add_callback(run).is_err() {
            return; // the loop has ended
        }
    }
}

fn ping(address: SocketAddr, time: Duration) -> io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let (begin, mut waits) = (Instant::now(), Vec::new());
    while begin.elapsed() < time || waits.is_empty() {
        thread::sleep(PAUSE);
        let sent = Instant::now();
        stream.write_all(&[b'x'; REQUEST])?;
        stream.read_exact(&mut [0; REQUEST])?;
        waits.push(sent.elapsed());
    }
    Ok(waits)
}
