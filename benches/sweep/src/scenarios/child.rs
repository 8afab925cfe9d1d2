//! Child processes with pipes, one that is killed, and signals.

use std::io;
use std::process::{self, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use squall_net::signal::{SIGUSR1, Signals};
use squall_net::{Child, IoStream, Stats, timeout};

use super::on_a_loop::on_a_loop;
use crate::journal;

const LIMIT: Duration = Duration::from_secs(5);

pub(super) fn run() -> Stats {
    on_a_loop(async || {
        for _ in 0..2 {
            journal::outcome("a child with pipes", with_pipes().await);
            journal::outcome("a child that is killed", killed().await);
            journal::outcome("a signal", signalled().await);
        }
        Ok(())
    })
}

async fn with_pipes() -> io::Result<()> {
    let mut command = Command::new("/bin/cat");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Child::spawn(command)?.kill_on_drop(true);
    let pipes = (child.stdin.take(), child.stdout.take());
    let (Some(input), Some(output)) = pipes else { return Err(io::Error::other("no pipes")) };
    let (mut input, mut output) = (IoStream::new(input), IoStream::new(output));
    input.write("to a child\n")?;
    let line = output.read_until(b"\n").await?;
    if line != "to a child\n" {
        journal::fault(format_args!("{line:?} came back from a child"));
    }
    input.shutdown().await?;
    if !output.read_until_close().await?.is_empty() {
        journal::fault(format_args!("bytes after the end of a child's output"));
    }
    let status = ended(&mut child).await?;
    if !status.success() {
        journal::fault(format_args!("a child has ended with {status}"));
    }
    Ok(())
}

async fn killed() -> io::Result<()> {
    let mut child = Child::spawn(Command::new("/bin/sleep").arg("60"))?.kill_on_drop(true);
    child.kill()?;
    let status = ended(&mut child).await?;
    if status.success() {
        journal::fault(format_args!("a killed child has ended with {status}"));
    }
    Ok(())
}

async fn ended(child: &mut Child) -> io::Result<process::ExitStatus> {
    timeout(LIMIT, child.wait()).await.unwrap_or_else(|elapsed| {
        journal::fault(format_args!("the end of a child was not noticed"));
        Err(elapsed.into())
    })
}

async fn signalled() -> io::Result<()> {
    let mut signals = Signals::new([SIGUSR1])?;
    raise(Signal::SIGUSR1)?;
    match timeout(LIMIT, signals.next()).await {
        Ok(Some(SIGUSR1)) => Ok(()),
        other => {
            journal::fault(format_args!("instead of a signal came {other:?}"));
            Ok(())
        }
    }
}
