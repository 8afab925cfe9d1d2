//! Child processes.
//!
//! The loop learns from a descriptor, the pidfd, that a child has ended. So this module installs no
//! `SIGCHLD` handler, which the program may need for itself. Unlike a process ID, a pidfd is
//! never reused for another process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, ExitStatus, Output};

use futures_io::AsyncRead;
use squall_executor::{AsyncFd, try_spawn};

use crate::refuse;
use crate::socket::pipe::{PipeReader, PipeWriter};
use crate::stream::io_stream::IoStream;
use crate::stream::stream_error::StreamError;
use crate::sys;

/// A child process whose end can be awaited, and whose pipes are streams. Tornado: `Subprocess`.
///
/// Dropping a `Child` does not end the process, unless [`kill_on_drop`](Self::kill_on_drop) is set.
/// After the drop, a task of the loop waits for the process to end, so that no zombie stays while
/// the loop runs. If a process that was not killed outlives the loop, or if its `Child` is dropped
/// without a loop, the process stays a zombie from its end until this process ends.
///
/// ```
/// use std::process::{Command, Stdio};
/// use squall_net::{Child, IoStream, block_on};
///
/// block_on(async {
///     let mut command = Command::new("cat");
///     let mut child = Child::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
///     let mut input = IoStream::new(child.stdin.take().expect("stdin is piped"));
///     let mut output = IoStream::new(child.stdout.take().expect("stdout is piped"));
///     input.write("hello\n")?;
///     assert_eq!(output.read_until(b"\n").await?, "hello\n");
///     input.shutdown().await?;
///     assert!(child.wait().await?.success());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "Subprocess")]
#[derive(Debug)]
pub struct Child {
    /// Writes to the child's standard input. `Some` if the command set `Stdio::piped()`.
    pub stdin: Option<PipeWriter>,
    /// Reads the child's standard output. `Some` if the command set `Stdio::piped()`.
    pub stdout: Option<PipeReader>,
    /// Reads the child's standard error. `Some` if the command set `Stdio::piped()`.
    pub stderr: Option<PipeReader>,
    /// `None` only during the drop.
    process: Option<Process>,
    kill_on_drop: bool,
    kill_group_on_drop: bool,
}

#[derive(Debug)]
struct Process {
    child: std::process::Child,
    /// Readable once the child has ended.
    pidfd: AsyncFd<OwnedFd>,
    /// Whether the child leads a process group that may be signalled. While this is true, the child
    /// is not reaped: see [`signal_group`](Self::signal_group).
    leads_group: bool,
}

impl Process {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Process { child, pidfd, leads_group } = self;
        let check = |_: &OwnedFd| match try_wait(child, *leads_group)? {
            Some(status) => Ok(status),
            None => Err(io::ErrorKind::WouldBlock.into()),
        };
        pidfd.read_with(check).await
    }

    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        try_wait(&mut self.child, self.leads_group)
    }

    fn signal(&self, signal: i32) -> io::Result<()> {
        sys::pidfd_send_signal(self.pidfd.as_fd(), signal)
    }

    /// Sends a signal to the group. A group has no pidfd, only the number of its leader. The kernel
    /// gives this number to no other process or group before the leader is reaped. So the leader
    /// stays a zombie as long as this method may be called.
    fn signal_group(&self, signal: i32) -> io::Result<()> {
        if !self.leads_group {
            let text = "the child leads no process group: set Command::process_group(0)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        sys::kill_group(self.child.id(), signal)
    }
}

/// Returns the status if the child has ended, and reaps it unless it leads a group.
fn try_wait(child: &mut std::process::Child, leads_group: bool) -> io::Result<Option<ExitStatus>> {
    if leads_group { sys::peek_status(child.id()) } else { child.try_wait() }
}

impl Child {
    /// Starts the command. Blocks until the new program runs, usually for less than a millisecond.
    ///
    /// # Errors
    /// Those of `fork(2)`, `execve(2)`, `pidfd_open(2)` and `fcntl(2)`. If the child has already
    /// started, it is killed.
    pub fn spawn(command: &mut Command) -> io::Result<Child> {
        refuse("Child::spawn")?;
        let mut child = command.spawn()?;
        let pipes = (|| {
            // Nothing reads from the pidfd, so it need not be non-blocking.
            let pidfd = AsyncFd::from_nonblocking(sys::pidfd_open(child.id())?);
            let stdin = child.stdin.take().map(|pipe| PipeWriter::from_unshared(pipe.into()));
            let stdout = child.stdout.take().map(|pipe| PipeReader::from_unshared(pipe.into()));
            let stderr = child.stderr.take().map(|pipe| PipeReader::from_unshared(pipe.into()));
            Ok((pidfd, stdin.transpose()?, stdout.transpose()?, stderr.transpose()?))
        })();
        match pipes {
            Ok((pidfd, stdin, stdout, stderr)) => {
                let leads_group = sys::leads_group(child.id());
                let process = Some(Process { child, pidfd, leads_group });
                let (kill_on_drop, kill_group_on_drop) = (false, false);
                Ok(Child { stdin, stdout, stderr, process, kill_on_drop, kill_group_on_drop })
            }
            Err(error) => {
                let _ = child.kill(); // an error means that it has ended by itself
                let _ = child.wait(); // our own child, not waited for before: there is a status
                Err(error)
            }
        }
    }

    /// Sets whether the drop of this `Child` kills the process, if it still runs.
    ///
    /// A task of the thread's loop then waits for the end of the process. The end of that loop waits
    /// for processes that are left, and the drop itself waits if there is no loop. Such a wait
    /// blocks the thread, usually for less than a millisecond. It takes longer if the process has
    /// much memory: about 100 ms for each GiB.
    pub fn kill_on_drop(mut self, kill: bool) -> Child {
        self.kill_on_drop = kill;
        self
    }

    /// Sets whether the drop of this `Child` kills the process and its whole group, as
    /// [`kill_group`](Self::kill_group) does. So no process that the child has started keeps
    /// running or holds a pipe. The group is killed even if the child has ended before.
    ///
    /// The end of the child is then waited for as with [`kill_on_drop`](Self::kill_on_drop). If the
    /// command was not started with `process_group(0)`, only the process is killed.
    ///
    /// ```
    /// use std::os::unix::process::CommandExt;
    /// use std::process::{Command, Stdio};
    /// use squall_net::{Child, IoStream, block_on};
    ///
    /// block_on(async {
    ///     let mut command = Command::new("sh");
    ///     command.args(["-c", "sleep 60 & wait"]).process_group(0).stdout(Stdio::piped());
    ///     let mut child = Child::spawn(&mut command)?.kill_group_on_drop(true);
    ///     let mut output = IoStream::new(child.stdout.take().expect("stdout is piped"));
    ///     drop(child);
    ///     output.read_until_close().await?; // `sleep` had the pipe too
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn kill_group_on_drop(mut self, kill: bool) -> Child {
        self.kill_group_on_drop = kill;
        self
    }

    /// Returns the process ID. Once [`wait`](Self::wait) has returned, another process may get the
    /// same ID.
    pub fn id(&self) -> u32 {
        self.process().child.id()
    }

    /// Waits for the child to end and returns its status. May be called again.
    ///
    /// A child that was started with `process_group(0)` stays a zombie until this `Child` is
    /// dropped, so that [`signal_group`](Self::signal_group) reaches its group and no other.
    ///
    /// This does not close `stdin`: drop it if the child reads to the end of its input. Tornado:
    /// `Subprocess.wait_for_exit`; its `-signum` is
    /// [`ExitStatusExt::signal`](std::os::unix::process::ExitStatusExt::signal).
    ///
    /// # Errors
    /// Those of `waitpid(2)` and `epoll_ctl(2)`. An exit code other than 0 is not an error: check
    /// the status.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process_mut().wait().await
    }

    /// Returns the status if the child has ended. Never waits.
    ///
    /// # Errors
    /// Those of `waitpid(2)`.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process_mut().try_wait()
    }

    /// Closes `stdin`, reads `stdout` and `stderr` to their ends, and waits for the child to end.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and those of `read(2)`; `InvalidData` for more than 100 MiB from
    /// one pipe.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let stderr = squall_executor::spawn(read_all(stderr)).abort_on_drop();
        let stdout = read_all(stdout).await?;
        let stderr = stderr.await.map_err(io::Error::from)??;
        Ok(Output { status: self.wait().await?, stdout, stderr })
    }

    /// Kills the child (`SIGKILL`) and does not wait for its end.
    ///
    /// # Errors
    /// As [`signal`](Self::signal).
    pub fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    /// Sends a signal to the child. The signal goes through the pidfd, so it never reaches another
    /// process.
    ///
    /// # Errors
    /// Those of `pidfd_send_signal(2)`: `ESRCH` if the child has been waited for.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        self.process().signal(signal)
    }

    /// Kills every process of the child's group (`SIGKILL`) and does not wait for their ends. As
    /// [`signal_group`](Self::signal_group).
    ///
    /// # Errors
    /// As [`signal_group`](Self::signal_group).
    pub fn kill_group(&self) -> io::Result<()> {
        self.signal_group(libc::SIGKILL)
    }

    /// Sends a signal to every process of the child's group: the child and the processes that it
    /// has started, except those that have moved to another group. Works after the end of the child
    /// too, and never reaches another group.
    ///
    /// The command must have been started with
    /// [`process_group(0)`](std::os::unix::process::CommandExt::process_group).
    ///
    /// # Errors
    /// `InvalidInput` if the child leads no group; and those of `kill(2)`.
    pub fn signal_group(&self, signal: i32) -> io::Result<()> {
        self.process().signal_group(signal)
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("the process stays until the drop")
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("the process stays until the drop")
    }
}

async fn read_all(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let Some(pipe) = pipe else { return Ok(Vec::new()) };
    match IoStream::new(pipe).read_until_close().await {
        Ok(bytes) => Ok(bytes.into()),
        Err(StreamError::Closed { cause: None }) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        if self.kill_group_on_drop && process.leads_group {
            // An error means that the last process of the group has ended by itself, or that all of
            // them belong to other users.
            let _ = process.signal_group(libc::SIGKILL);
        }
        process.leads_group = false; // from here on the child may be reaped
        if !matches!(process.try_wait(), Ok(None)) {
            return;
        }
        let kill = self.kill_on_drop || self.kill_group_on_drop;
        let is_killed = kill && process.signal(libc::SIGKILL).is_ok();
        let mut reaper = Reaper { process, is_killed };
        // Without a loop, this drops the reaper.
        try_spawn(Box::pin(async move {
            let _ = reaper.process.wait().await; // only reaps: no caller needs the status
        }));
    }
}

/// Waits for the process of a dropped [`Child`]. If the reaper is dropped too early, for example
/// with its loop, a process that was killed is waited for at once. Any other process stays a zombie
/// until this process ends, as with std's `Child`.
struct Reaper {
    process: Process,
    is_killed: bool,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        if self.is_killed {
            // Returns at once if the status is known. An error would mean that other code of this
            // program has waited for our child: then there is nothing left to do.
            let _ = self.process.child.wait();
        }
    }
}

impl AsFd for Child {
    /// Returns the pidfd, which is readable once the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process().pidfd.as_fd()
    }
}
