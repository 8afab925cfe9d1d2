//! Starts programs that fork, in processes of their own, and reads what they print.

#![allow(dead_code, reason = "each test file uses what it needs")]
#![allow(unsafe_code, reason = "the actions of signals, for which std has no names")]

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

pub(crate) const WATCHDOG: Duration = Duration::from_secs(20);

/// Runs a test file's tests, or one of its programs if the arguments name one.
pub(crate) fn run(program: fn(&str), tests: &[(&str, fn())]) {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("as") {
        return program(&arguments.next().expect("the name of a program"));
    }
    let trials = tests.iter().map(|&(name, test)| {
        Trial::test(name, move || {
            std::panic::catch_unwind(test).map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                Failed::from(text.unwrap_or_else(|| "it panicked, see above".to_owned()))
            })
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

/// Prints a line with one write, because several processes share the output.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("{text}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < WATCHDOG, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Resets signals to their default actions: under `nohup` or a shell's `&`, a process inherits
/// ignored signals.
fn reset_signals() -> io::Result<()> {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    Ok(())
}

/// A process and its output. Dropping it kills the process.
pub(crate) struct Watched {
    pub(crate) child: Child,
    lines: Receiver<String>,
}

impl Watched {
    pub(crate) fn start(name: &str) -> Watched {
        Watched::start_with(name, |_| {})
    }

    /// As [`start`](Self::start), but `change` edits the command first.
    pub(crate) fn start_with(name: &str, change: impl FnOnce(&mut Command)) -> Watched {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["as", name]).stdout(Stdio::piped());
        // SAFETY: `reset_signals` calls only `signal`, which is async-signal-safe.
        unsafe { command.pre_exec(reset_signals) };
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (line, lines) = mpsc::channel();
        thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|text| drop(line.send(text)));
        });
        Watched { child, lines }
    }

    /// Returns the next `n` lines, sorted, because processes print in any order.
    pub(crate) fn lines(&mut self, n: usize) -> Vec<String> {
        let mut lines = self.take(n);
        lines.sort();
        lines
    }

    /// Returns all further lines in the order in which they came, from a single process.
    pub(crate) fn in_order(&mut self) -> Vec<String> {
        self.take(usize::MAX)
    }

    fn take(&mut self, n: usize) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.len() < n {
            match self.lines.recv_timeout(WATCHDOG) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("no further output after {lines:?}"),
            }
        }
        lines
    }

    /// Returns all further lines, up to the end of the last process that shares the output.
    pub(crate) fn rest(&mut self) -> Vec<String> {
        self.lines(usize::MAX)
    }

    pub(crate) fn kill(&self, signal: &str) {
        kill(self.child.id(), signal);
    }

    /// Waits until no signal is pending for the process.
    pub(crate) fn has_taken(&self) {
        let status = format!("/proc/{}/status", self.child.id());
        until("the signals are taken", || {
            let status = fs::read_to_string(&status).unwrap();
            let waiting = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
            waiting.is_some_and(|signals| signals.trim().bytes().all(|digit| digit == b'0'))
        });
    }

    /// Returns its children, including zombies that it has not reaped yet.
    pub(crate) fn children(&self) -> Vec<u32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
    }

    pub(crate) fn end(&mut self) -> ExitStatus {
        until("the parent has ended", || self.child.try_wait().unwrap().is_some());
        self.child.wait().unwrap()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn kill(pid: u32, signal: &str) {
    Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap();
}

pub(crate) fn process_of(line: &str) -> u32 {
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

pub(crate) fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim().starts_with('Z'))
}
