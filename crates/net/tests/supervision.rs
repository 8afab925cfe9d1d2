//! What the parent of workers does when things go wrong.

mod watched;

use std::time::Duration;

use squall_net::{ForkOptions, Role, block_on, fork_processes, signal, sleep};
use watched::{WATCHDOG, Watched, say};

fn main() {
    let tests: [(&str, fn()); 2] = [
        // X8
        ("a_worker_that_drains_is_told_once_however_often_the_parent_is", told_once),
        // X8
        ("two_kinds_of_ending_signals_are_a_clean_end", two_kinds),
    ];
    watched::run(program, &tests);
}

/// What the processes do that the tests watch.
fn program(name: &str) {
    let options =
        ForkOptions::default().restart_delay(Duration::from_millis(5), Duration::from_millis(20));
    let role = match name {
        "draining" => fork_processes(Some(1), options),
        "plain" => fork_processes(Some(2), options),
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
            // It forgets to listen while it drains, and ends when the test has nothing more to tell.
            "draining" => {
                let mut signals = signal::Signals::new([signal::SIGTERM]).unwrap();
                let mut enough = signal::Signals::new([signal::SIGUSR1]).unwrap();
                say(&begun);
                signals.next().await;
                drop(signals);
                say("told");
                enough.next().await;
                say("drained");
            }
            _ => {
                say(&begun);
                sleep(WATCHDOG).await;
            }
        }
    });
}

fn told_once() {
    let mut parent = Watched::start("draining");
    parent.lines(1);
    parent.kill("TERM");
    assert_eq!(parent.lines(1), ["told"]);
    parent.kill("TERM");
    parent.has_taken(); // of several signals it takes the lowest number first
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
