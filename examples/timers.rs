//! Every kind of timer, in a program that runs for two seconds.
//!
//! ```text
//! cargo run --example timers
//! ```

use std::io;
use std::time::{Duration, Instant};

use squall_net::{
    EventLoop, PeriodicCallback, call_at, call_later, interval, remove_timeout, sleep, spawn,
    timeout,
};

const TENTH: Duration = Duration::from_millis(100);

fn main() -> io::Result<()> {
    let event_loop = EventLoop::new()?;
    let begin = Instant::now();
    let say = move |what: &str| println!("{:>7.1?}  {what}", begin.elapsed());

    event_loop.block_on(async move {
        call_later(3 * TENTH, move || say("call_later, after three tenths"));
        call_at(begin + 2 * TENTH, move || say("call_at, two tenths: set later, fires earlier"));
        let removed = call_later(TENTH, || println!("this timer was removed"));
        assert!(remove_timeout(removed));

        let periodic = PeriodicCallback::new(5 * TENTH, move || say("a periodic callback"));
        periodic.start();
        let spread = PeriodicCallback::new_async(4 * TENTH, async move || {
            sleep(TENTH).await; // the next call starts only after this one has ended
            say("an async periodic callback, with a random period");
        })
        .jitter(0.5);
        spread.start();

        let ticks = spawn(async move {
            let mut ticks = interval(7 * TENTH);
            loop {
                ticks.tick().await;
                say("a tick of an interval");
            }
        });
        match timeout(15 * TENTH, ticks).await {
            Ok(_) => unreachable!("an interval never ends"),
            Err(elapsed) => say(&elapsed.to_string()),
        }
        periodic.stop();
        spread.stop();
        sleep(5 * TENTH).await;
        // The timeout dropped only the task's handle, which does not cancel the task.
        say("the task still ticks; block_on does not wait for it");
    });
    println!("{}", event_loop.dump());
    Ok(())
}
