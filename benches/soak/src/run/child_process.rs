//! A process of the run.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A child of the run. Dropping this kills it.
pub(crate) struct ChildProcess {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    /// Reads the standard output until its end.
    reader: Option<JoinHandle<()>>,
}

impl ChildProcess {
    /// Starts this program in another role, with its standard error in `log`. Calls `on_line` for each
    /// line of its output, on a thread of its own. Call this on the main thread: a child gets a signal
    /// when the thread that started it ends.
    pub(crate) fn start(
        name: &'static str,
        arguments: Vec<OsString>,
        log: File,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<ChildProcess> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        // Ctrl-C of the terminal reaches the run only, which ends its children in order.
        let mut child = command.process_group(0).spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let read = move || stdout.lines().map_while(Result::ok).for_each(|line| on_line(&line));
        let reader = Some(thread::Builder::new().name(format!("{name} reader")).spawn(read)?);
        Ok(ChildProcess { name, child, stdin, reader })
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().expect("it is open until the end");
        writeln!(stdin, "{line}").map_err(|error| self.explain(&format!("has ended: {error}")))
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        kill_process(self.pid(), signal)
            .map_err(|error| self.explain(&format!("gets no signal: {error}")))
    }

    /// Closes its standard input, waits for its end and reads the rest of its output.
    ///
    /// # Errors
    /// It has not ended in this time, or with another code than 0.
    pub(crate) fn wait(&mut self, limit: Duration) -> io::Result<()> {
        drop(self.stdin.take());
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    return Err(self.explain(&format!("has not ended after {limit:?}")));
                }
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| self.explain("printed what cannot be read"))?;
        }
        self.check(status)
    }

    fn check(&self, status: ExitStatus) -> io::Result<()> {
        if status.success() { Ok(()) } else { Err(self.explain(&format!("ended with {status}"))) }
    }

    fn explain(&self, what: &str) -> io::Error {
        io::Error::other(format!("{} {what}", self.name))
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        let _ = self.child.kill(); // fails if it was waited for
        let _ = self.child.wait();
    }
}
