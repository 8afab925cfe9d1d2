//! How to block on a coroutine, with a time limit, and the errors that `run_sync` returns.
//!
//! ```text
//! cargo run --example run_sync
//! ```

use std::error::Error;
use std::future::pending;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use squall_net::{EventLoop, IoStream, TcpStream, block_on, spawn_blocking, stop};

const LIMIT: Option<Duration> = Some(Duration::from_secs(5));

/// Asks a server for the length of a word, over a socket.
async fn length_of(word: &str, port: u16) -> Result<usize, Box<dyn Error>> {
    let mut stream = IoStream::new(TcpStream::connect(([127, 0, 0, 1], port)).await?);
    stream.write(format!("{word}\n"))?;
    let answer = stream.read_until(b"\n").await?;
    Ok(std::str::from_utf8(&answer)?.trim().parse()?)
}

/// A blocking server, without squall.
fn serve_one(listener: TcpListener) -> std::io::Result<()> {
    let (mut client, _) = listener.accept()?;
    let mut word = String::new();
    BufReader::new(&client).read_line(&mut word)?;
    writeln!(client, "{}", word.trim().len())
}

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let server = thread::spawn(move || serve_one(listener));

    // A loop may be run many times. Unfinished tasks stay in the loop for the next run.
    let event_loop = EventLoop::new()?;
    let length = event_loop.run_sync(length_of("squall", port), LIMIT)??;
    println!("squall has {length} letters");
    server.join().expect("the server does not panic")?;

    let late = event_loop.run_sync(pending::<()>(), Some(Duration::from_millis(50)));
    println!("a future that is never ready: {}", late.expect_err("it has no end"));

    let stopped = event_loop.run_sync(
        async {
            stop();
            pending::<()>().await;
        },
        LIMIT,
    );
    println!("a stop in the middle: {}", stopped.expect_err("it was stopped"));

    let nested =
        event_loop.run_sync(async { EventLoop::new()?.run_sync(async {}, LIMIT) }, LIMIT)?;
    println!("a loop inside a loop: {}", nested.expect_err("one runs already"));

    // Without a time limit, on a loop that exists only for this call:
    let count = || std::fs::read_to_string("/proc/self/status").map(|text| text.lines().count());
    let lines = block_on(async { spawn_blocking(count).await })??;
    println!("a file that was read on another thread has {lines} lines");
    Ok(())
}
