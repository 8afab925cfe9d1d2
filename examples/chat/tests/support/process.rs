//! Programs that a test starts, and ends also if it panics.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use squall_net::{TcpStream, sleep};

use crate::support::within;

/// A process. Dropping it kills it.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Process {
        Process(command.stdin(Stdio::null()).spawn().expect("the program is there"))
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for the end of the process. Returns whether it was a success.
    pub(crate) async fn ended(&mut self) -> bool {
        within("the end of a process", async {
            loop {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status.success();
                }
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

/// The chat as a process of its own, on a port that was free.
pub(crate) struct ChatProcess {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl ChatProcess {
    pub(crate) async fn start(options: &[&str]) -> ChatProcess {
        ChatProcess::start_at(free_address(), options).await
    }

    pub(crate) async fn start_at(address: SocketAddr, options: &[&str]) -> ChatProcess {
        let mut command = Command::new("env");
        command.arg("--default-signal").arg(env!("CARGO_BIN_EXE_chat"));
        command.arg("--listen").arg(address.to_string()).args(options).stdout(Stdio::null());
        let process = Process::start(&mut command);
        wait_for(address).await;
        ChatProcess { process, address }
    }
}

/// An address of this host on which nothing listens.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits until something listens on this address.
pub(crate) async fn wait_for(address: SocketAddr) {
    within("a listening socket", async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Whether a program is installed. Prints a line if it is not.
pub(crate) fn is_installed(program: &str) -> bool {
    let is_there = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !is_there {
        super::say(&format!("skipped: {program} is not installed"));
    }
    is_there
}
