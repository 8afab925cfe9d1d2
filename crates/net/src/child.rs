//! A child process.
//!
//! Its end is an event of a descriptor, the pidfd: no `SIGCHLD` handler, which the program may want for itself, and no number
//! that could be another process's by now.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, ExitStatus, Output};

use futures_io::AsyncRead;
use squall_executor::{AsyncFd, try_spawn};

use crate::socket::pipe::{PipeReader, PipeWriter};
use crate::stream::io_stream::IoStream;
use crate::stream::stream_error::StreamError;
use crate::sys;

/// A child process whose end can be awaited, and whose pipes are streams. Tornado: `Subprocess`.
///
/// Dropping it leaves the child alone, unless [`kill_on_drop`](Self::kill_on_drop) says otherwise. A task of the loop takes note
/// of its end, so that no zombie stays while the loop runs; a child that outlives the loop, or is dropped without one, stays a
/// zombie from its end until this process's.
///
/// ```
/// use std::process::{Command, Stdio};
/// use squall_net::{Child, IoStream, block_on};
///
/// block_on(async {
///     let mut child = Child::spawn(Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()))?;
///     let mut input = IoStream::new(child.stdin.take().expect("it was asked for"));
///     let mut output = IoStream::new(child.stdout.take().expect("it was asked for"));
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
    /// What the child reads, if the command said `Stdio::piped()`.
    pub stdin: Option<PipeWriter>,
    /// What the child writes, if the command said `Stdio::piped()`.
    pub stdout: Option<PipeReader>,
    /// What the child complains of, if the command said `Stdio::piped()`.
    pub stderr: Option<PipeReader>,
    /// Away only while the child is dropped.
    process: Option<Process>,
    kill_on_drop: bool,
}

#[derive(Debug)]
struct Process {
    child: std::process::Child,
    /// Readable when the child has ended.
    pidfd: AsyncFd<OwnedFd>,
}

impl Process {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        let Process { child, pidfd } = self;
        pidfd
            .read_with(|_| match child.try_wait()? {
                Some(status) => Ok(status),
                None => Err(io::ErrorKind::WouldBlock.into()),
            })
            .await
    }
}

impl Child {
    /// Starts the command. This blocks until the new program runs, usually less than a millisecond.
    ///
    /// # Errors
    /// Those of `fork(2)`, `execve(2)`, `pidfd_open(2)` and `fcntl(2)`; a child that was started then is killed.
    pub fn spawn(command: &mut Command) -> io::Result<Child> {
        let mut child = command.spawn()?;
        let pipes = (|| {
            let pidfd = AsyncFd::new(sys::pidfd_open(child.id())?)?;
            let writer = |pipe: std::process::ChildStdin| PipeWriter::from_fd(pipe.into());
            let stdin = child.stdin.take().map(writer).transpose()?;
            let stdout = child.stdout.take().map(|pipe| PipeReader::from_fd(pipe.into()));
            let stderr = child.stderr.take().map(|pipe| PipeReader::from_fd(pipe.into()));
            Ok((pidfd, stdin, stdout.transpose()?, stderr.transpose()?))
        })();
        match pipes {
            Ok((pidfd, stdin, stdout, stderr)) => {
                let process = Some(Process { child, pidfd });
                Ok(Child { stdin, stdout, stderr, process, kill_on_drop: false })
            }
            Err(error) => {
                let _ = child.kill(); // it has ended by itself then
                let _ = child.wait(); // it was ours: there is a status
                Err(error)
            }
        }
    }

    /// Kills the child when this is dropped, if it lives then, and waits until it is gone. That blocks for the moment which the
    /// kernel needs, usually less than a millisecond.
    pub fn kill_on_drop(mut self, kill: bool) -> Child {
        self.kill_on_drop = kill;
        self
    }

    /// Its process number, which is another's once [`wait`](Self::wait) has returned.
    pub fn id(&self) -> u32 {
        self.process().child.id()
    }

    /// Waits for the child's end. Again and again, if you like. Its `stdin` stays as it is: drop it if the child waits for
    /// its end. Tornado: `Subprocess.wait_for_exit`; its `-signum` is
    /// [`ExitStatusExt::signal`](std::os::unix::process::ExitStatusExt::signal).
    ///
    /// # Errors
    /// Those of `waitpid(2)` and `epoll_ctl(2)`. An exit code other than 0 is none: ask the status.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.process_mut().wait().await
    }

    /// The status, if the child has ended.
    ///
    /// # Errors
    /// Those of `waitpid(2)`.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.process_mut().child.try_wait()
    }

    /// Closes `stdin`, reads `stdout` and `stderr` to their ends, and waits for the child's.
    ///
    /// # Errors
    /// As [`wait`](Self::wait), and those of `read(2)`; more than 100 MiB from one pipe are too long.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let stderr = squall_executor::spawn(read_all(stderr)).abort_on_drop();
        let stdout = read_all(stdout).await?;
        let stderr = stderr.await.map_err(io::Error::from)??;
        Ok(Output { status: self.wait().await?, stdout, stderr })
    }

    /// Kills the child (`SIGKILL`), and does not wait for its end.
    ///
    /// # Errors
    /// `NotFound` if it has been waited for.
    pub fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    /// Sends a signal to the child, never to another process: it goes through the pidfd.
    ///
    /// # Errors
    /// Those of `pidfd_send_signal(2)`: `NotFound` (`ESRCH`) if the child has been waited for.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        sys::pidfd_send_signal(self.process().pidfd.as_fd(), signal)
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it is there until the drop")
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("it is there until the drop")
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
        let pidfd = process.pidfd.as_fd();
        if self.kill_on_drop && sys::pidfd_send_signal(pidfd, libc::SIGKILL).is_ok() {
            // A task would end with the loop, perhaps before the child has, and would not begin without one.
            let _ = process.child.wait(); // it was ours: there is a status
        } else if matches!(process.child.try_wait(), Ok(None)) {
            // Without a loop it stays a zombie until this process ends, as with std's.
            try_spawn(async move {
                let _ = process.wait().await; // only that it was waited for counts
            });
        }
    }
}

impl AsFd for Child {
    /// The pidfd, which is readable when the child has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process().pidfd.as_fd()
    }
}
