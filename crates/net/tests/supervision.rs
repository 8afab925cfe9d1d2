//! How the parent of workers handles failed forks, failing workers and repeated signals.

mod watched;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use squall_net::executor::fault::{self, Call};
use squall_net::{ForkOptions, Role, block_on, fork_processes, signal, sleep};
use watched::{WATCHDOG, Watched, kill, process_of, say, until};

fn main() {
    let tests: [(&str, fn()); 9] = [
        // X8
        ("a_draining_worker_is_signalled_once_however_often_the_parent_is", signalled_once),
        // X8
        ("two_different_termination_signals_are_a_clean_end", two_kinds),
        // X7
        ("workers_stay_when_their_successors_cannot_start", broken_release),
        // X7
        ("a_rolling_restart_that_is_requested_during_another_begins_after_it", twice),
        // X8
        ("a_due_restart_is_not_lost_when_a_rolling_restart_cannot_fork", due_in_a_roll),
        // X8
        ("a_fork_that_fails_is_tried_again_and_counts_as_no_restart", no_fork),
        ("the_first_fork_that_fails_is_an_error_with_its_number", no_first_fork),
        ("a_rolling_restart_does_not_replace_workers_that_ended_with_success", gone),
        ("endless_durations_do_not_panic", for_ever),
    ];
    watched::run(program, &tests);
}

/// The programs that the tests start.
fn program(name: &str) {
    let options =
        ForkOptions::default().restart_delay(Duration::from_millis(5), Duration::from_millis(20));
    // The first fork succeeds, and the next `times` forks fail.
    let fail_forks = |times| fault::inject(Call::Thread, 1, times, libc::EAGAIN);
    let role = match name {
        "draining" => fork_processes(Some(1), options),
        "plain" | "listening" => fork_processes(Some(2), options),
        "for ever" => {
            let options = options.grace(Some(Duration::MAX));
            fork_processes(Some(1), options.restart_delay(Duration::MAX, Duration::MAX))
        }
        "due" => {
            fail_forks(1);
            let delay = Duration::from_millis(500);
            fork_processes(Some(1), options.restart_delay(delay, delay))
        }
        "no fork" => {
            fail_forks(5);
            fork_processes(Some(1), options.max_restarts(1))
        }
        "no first fork" => {
            fail_forks(1);
            fork_processes(Some(2), options)
        }
        name => panic!("no program {name}"),
    };
    match role {
        Ok(Role::Worker(number)) => work(name, number),
        Ok(Role::Supervisor) => say("all have ended"),
        Err(error) => {
            say(&format!("{error} ({:?})", error.raw_os_error()));
            std::process::exit(1);
        }
    }
}

fn work(name: &str, number: usize) {
    let begun = format!("worker {number} process {}", std::process::id());
    block_on(async {
        match name {
            // Drops its SIGTERM stream while it drains, and ends at SIGUSR1.
            "draining" => {
                let mut signals = signal::Signals::new([signal::SIGTERM]).unwrap();
                let mut enough = signal::Signals::new([signal::SIGUSR1]).unwrap();
                say(&begun);
                signals.next().await;
                drop(signals);
                say("signalled");
                enough.next().await;
                say("drained");
            }
            "plain" => {
                say(&begun);
                sleep(WATCHDOG).await;
            }
            _ if has_mark() => {
                say(&format!("worker {number} fails"));
                std::process::exit(9);
            }
            _ => {
                let mut signals = signal::Signals::new([signal::SIGTERM]).unwrap();
                say(&begun);
                signals.next().await;
                say(&format!("worker {number} was signalled"));
            }
        }
    });
}

fn signalled_once() {
    let mut parent = Watched::start("draining");
    parent.lines(1);
    parent.kill("TERM");
    assert_eq!(parent.lines(1), ["signalled"]);
    parent.kill("TERM");
    parent.has_taken(); // of several pending signals, it takes the lowest number first
    parent.kill("USR1");
    assert_eq!(parent.rest(), ["all have ended", "drained"]);
    assert!(parent.end().success());
}

fn two_kinds() {
    let mut parent = Watched::start("plain");
    parent.lines(2);
    parent.kill("STOP");
    parent.kill("INT");
    parent.kill("TERM");
    parent.kill("CONT");
    assert_eq!(parent.rest(), ["all have ended"]);
    assert!(parent.end().success());
}

/// A file. A worker that begins while the file exists fails.
struct Mark(PathBuf);

impl Mark {
    fn new(name: &str) -> Mark {
        Mark(std::env::temp_dir().join(format!("squall-mark-{name}-{}", std::process::id())))
    }

    fn start(&self, name: &str) -> Watched {
        Watched::start_with(name, |command| {
            command.env("MARK", &self.0);
        })
    }

    fn set(&self) {
        fs::write(&self.0, "").unwrap();
    }

    fn clear(&self) {
        fs::remove_file(&self.0).unwrap();
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn has_mark() -> bool {
    std::env::var_os("MARK").is_some_and(|mark| fs::exists(mark).unwrap())
}

fn broken_release() {
    let mark = Mark::new("broken");
    let mut parent = mark.start("listening");
    parent.lines(2);
    let workers = parent.children();
    mark.set();
    parent.kill("HUP");
    assert_eq!(parent.lines(1), ["worker 0 fails"]);
    until("the failed worker is reaped", || parent.children() == workers);
    mark.clear();
    parent.kill("HUP"); // a release that works
    let lines = parent.lines(4);
    assert_eq!(lines.iter().filter(|line| line.ends_with("was signalled")).count(), 2, "{lines:?}");
    parent.kill("TERM");
    assert_eq!(
        parent.rest(),
        ["all have ended", "worker 0 was signalled", "worker 1 was signalled"]
    );
    assert!(parent.end().success());
}

fn twice() {
    let mut parent = Watched::start("listening");
    parent.lines(2);
    parent.kill("HUP");
    parent.lines(1); // the first successor has begun
    parent.kill("HUP");
    parent.has_taken();
    parent.kill("HUP"); // adds no third restart
    let lines = parent.lines(7);
    assert_eq!(lines.iter().filter(|line| line.ends_with("was signalled")).count(), 4, "{lines:?}");
    parent.kill("TERM");
    assert_eq!(
        parent.rest(),
        ["all have ended", "worker 0 was signalled", "worker 1 was signalled"]
    );
    assert!(parent.end().success());
}

fn due_in_a_roll() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    let mark = Mark::new("due");
    mark.set();
    let mut parent = mark.start("due");
    assert_eq!(parent.lines(1), ["worker 0 fails"]);
    until("the worker is reaped", || parent.children().is_empty());
    mark.clear();
    parent.kill("HUP");
    let begun = parent.lines(1);
    assert!(begun[0].starts_with("worker 0 process"), "{begun:?}");
    parent.kill("TERM");
    assert_eq!(parent.rest(), ["all have ended", "worker 0 was signalled"]);
    assert!(parent.end().success());
}

fn no_fork() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    let mut parent = Watched::start("no fork");
    let begun = parent.lines(1);
    kill(process_of(&begun[0]), "KILL");
    let begun = parent.lines(1);
    assert!(begun[0].starts_with("worker 0 process"), "{begun:?}");
    parent.kill("TERM");
    assert_eq!(parent.rest(), ["all have ended", "worker 0 was signalled"]);
    assert!(parent.end().success());
}

fn no_first_fork() {
    if !fault::ACTIVE {
        return eprintln!("skipped: faults are injected in debug builds only");
    }
    let mut parent = Watched::start("no first fork");
    let lines = parent.rest();
    let text = "Resource temporarily unavailable (os error 11) (Some(11))";
    assert_eq!(lines.iter().filter(|line| *line == text).count(), 1, "{lines:?}");
    assert!(!parent.end().success());
}

fn gone() {
    let mut parent = Watched::start("listening");
    let begun = parent.lines(2);
    kill(process_of(&begun[1]), "TERM");
    assert_eq!(parent.lines(1), ["worker 1 was signalled"]);
    until("the worker is reaped", || parent.children().len() == 1);
    parent.kill("HUP");
    let lines = parent.lines(2);
    assert!(lines[0].starts_with("worker 0 process"), "{lines:?}");
    assert_eq!(lines[1], "worker 0 was signalled");
    parent.kill("TERM");
    assert_eq!(parent.rest(), ["all have ended", "worker 0 was signalled"]);
    assert!(parent.end().success());
}

fn for_ever() {
    let mark = Mark::new("for-ever");
    let mut parent = mark.start("for ever");
    parent.lines(1);
    parent.kill("TERM");
    assert_eq!(parent.rest(), ["all have ended", "worker 0 was signalled"]);
    assert!(parent.end().success());
    mark.set();
    let mut parent = mark.start("for ever");
    assert_eq!(parent.lines(1), ["worker 0 fails"]);
    until("the worker is reaped", || parent.children().is_empty());
    parent.kill("TERM");
    assert_eq!(parent.rest(), ["all have ended"]);
    assert!(parent.end().success());
}
