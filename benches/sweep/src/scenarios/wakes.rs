//! Callbacks, tasks and jobs that cross between the loop and other threads.

use std::io;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use squall_net::{Handle, Stats, sleep, spawn_blocking, timeout};

use super::on_a_loop::on_a_loop;
use crate::journal;

const MESSAGES: usize = 20;
const JOBS: usize = 10;
/// Each wait of a thread is bounded, so that a lost wake-up ends it.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) fn run() -> Stats {
    on_a_loop(async || {
        let handle = Handle::current();
        let mut senders = Vec::new();
        for number in 0..2 {
            let handle = handle.clone();
            let main = move || if number == 0 { callbacks(&handle) } else { tasks(&handle) };
            match thread::Builder::new().spawn(main) {
                Ok(sender) => senders.push(sender),
                Err(error) => journal::error("a thread", &error),
            }
        }
        for _ in 0..JOBS {
            match spawn_blocking(|| thread::sleep(Duration::from_micros(100))).await {
                Ok(()) => journal::steps(1),
                Err(error) => journal::error("a job", &error),
            }
        }
        let ended = async {
            while senders.iter().any(|sender| !sender.is_finished()) {
                sleep(Duration::from_micros(500)).await;
            }
        };
        if timeout(LIMIT, ended).await.is_err() {
            journal::fault(format_args!("a thread waits for ever"));
        }
        for sender in senders {
            sender.join().map_err(|_| io::Error::other("a thread has panicked"))?;
        }
        Ok(())
    })
}

/// Sends callbacks, and waits for the answer of each.
fn callbacks(handle: &Handle) {
    let (answer, answers) = channel();
    for number in 0..MESSAGES {
        let answer = answer.clone();
        if let Err(error) = handle.add_callback(move || answer.send(number).unwrap_or_default()) {
            return journal::error("a callback", &error);
        }
        match answers.recv_timeout(LIMIT) {
            Ok(answered) if answered == number => journal::steps(1),
            other => return journal::fault(format_args!("callback {number} answers {other:?}")),
        }
    }
}

/// Runs tasks on the loop, and waits for the output of each.
fn tasks(handle: &Handle) {
    for number in 0..MESSAGES {
        let task = handle.spawn(async move || {
            sleep(Duration::from_micros(50)).await;
            number
        });
        let outcome = match task {
            Ok(task) => futures_lite::future::block_on(task),
            Err(error) => return journal::error("a task", &error),
        };
        match outcome {
            Ok(output) if output == number => journal::steps(1),
            other => return journal::fault(format_args!("task {number} returns {other:?}")),
        }
    }
}
