//! squall as a guest in somebody else's loop: here a plain `poll(2)` loop that watches the terminal.
//!
//! Three things suffice: the loop's descriptor, its next deadline, and one turn at a time. The same holds for a GUI's main
//! loop or for another epoll.
//!
//! ```text
//! cargo run --example embed
//! # type lines; an empty one, or ten seconds, ends it
//! ```

use std::io::{self, BufRead};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use squall_net::{EventLoop, PeriodicCallback, interval};

fn main() -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    {
        let _entered = event_loop.enter(); // for `start`
        let begin = Instant::now();
        let clock = move || println!("squall: {} seconds have passed", begin.elapsed().as_secs());
        PeriodicCallback::new(Duration::from_secs(1), clock).start();
    }
    let end = event_loop.spawn(async {
        interval(Duration::from_secs(10)).tick().await;
        println!("squall: time is up");
    });

    let mut terminal = io::stdin().lock();
    println!("type lines; an empty one, or ten seconds, ends it");
    while !end.is_finished() {
        let timeout = event_loop.next_deadline().map(until).transpose()?;
        let mut watched = [
            PollFd::new(&terminal, PollFlags::IN),
            PollFd::from_borrowed_fd(event_loop.as_fd(), PollFlags::IN),
        ];
        match poll(&mut watched, timeout.as_ref()) {
            Err(error) if error != rustix::io::Errno::INTR => return Err(error.into()),
            _ => {}
        }
        if !watched[0].revents().is_empty() {
            let typed = terminal.fill_buf()?; // all of it: what stays in the buffer, poll knows nothing of
            let len = typed.len();
            if typed.is_empty() || typed == b"\n" {
                break;
            }
            println!("host: {len} bytes");
            terminal.consume(len);
        }
        event_loop.run_once(Some(Duration::ZERO))?; // never sleeps: the host does
    }
    Ok(())
}

/// The time that is left, for `poll`.
fn until(deadline: Instant) -> io::Result<Timespec> {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec::try_from(left).map_err(io::Error::other)
}
