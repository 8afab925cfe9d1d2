//! Tornado, on Debian's Python.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::service::{FILE_NAME, Service};

const PYTHON: &str = "/usr/bin/python3";

pub(crate) fn is_installed() -> bool {
    let output = Command::new(PYTHON).args(["-c", "import tornado"]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Replaces this process with Python, which inherits the listening socket.
pub(crate) fn serve(listener: TcpListener, _: Service) -> io::Result<()> {
    let socket = listener.as_raw_fd().to_string();
    Err(Command::new(PYTHON).args(["-c", include_str!("tornado.py"), &socket, FILE_NAME]).exec())
}
