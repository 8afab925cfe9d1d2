//! squall inside another event loop: here a plain `poll(2)` loop that watches the terminal.
//!
//! The host loop needs three things: squall's descriptor, its next deadline, and `run_once`. They
//! suffice for a GUI's main loop or for another epoll too.
//!
//! ```text
//! cargo run --example embed
//! # type lines; the program ends at an empty line, or after ten seconds
//! ```

use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use squall_net::{EventLoop, PeriodicCallback, interval};

fn main() -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    {
        let _entered = event_loop.enter(); // `start` needs the current loop
        let begin = Instant::now();
        let clock = move || println!("squall: {} seconds have passed", begin.elapsed().as_secs());
        PeriodicCallback::new(Duration::from_secs(1), clock).start();
    }
    let end = event_loop.spawn(async {
        interval(Duration::from_secs(10)).tick().await;
        println!("squall: time is up");
    });

    let mut terminal = io::stdin().lock();
    println!("type lines; the program ends at an empty line, or after ten seconds");
    while !end.is_finished() {
        let timeout = event_loop.next_deadline().map(time_left).transpose()?;
        let mut watched = [
            PollFd::new(&terminal, PollFlags::IN),
            PollFd::from_borrowed_fd(event_loop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut watched, timeout.as_ref()) {
            Err(error) if error != rustix::io::Errno::INTR => return Err(error.into()),
            _ => {}
        }
        if !watched[0].revents().is_empty() {
            // Takes all of it: poll does not see what stays in the buffer.
            let typed = terminal.fill_buf()?;
            let len = typed.len();
            if typed.is_empty() || typed == b"\n" {
                break;
            }
            println!("host: {len} bytes");
            terminal.consume(len);
        }
        event_loop.run_once(Some(Duration::ZERO))?; // never waits: the host does, in `poll`
    }
    Ok(())
}

/// The time left until `deadline`, as `poll` takes it.
fn time_left(deadline: Instant) -> io::Result<Timespec> {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec::try_from(left).map_err(io::Error::other)
}
