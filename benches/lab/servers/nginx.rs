//! nginx, with one worker process.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::service::{HELLO, Service};

pub(crate) fn is_installed() -> bool {
    Command::new("nginx").arg("-v").output().is_ok()
}

/// Sends files by `sendfile`, as Debian's configuration does.
pub(crate) fn serve(listener: TcpListener, service: Service) -> io::Result<()> {
    run(&listener, service, "sendfile on; tcp_nopush on;")
}

/// Reads files and writes them to the socket.
pub(crate) fn serve_without_sendfile(listener: TcpListener, service: Service) -> io::Result<()> {
    run(&listener, service, "sendfile off;")
}

/// Replaces this process with nginx, which inherits the listening socket as from an nginx that
/// upgrades itself. Its files are in the working directory.
///
/// The worker is a child of that process: a single process (`master_process off`) crashes if it
/// inherits its socket. By default, a kept connection ends after 1,000 requests, which would be
/// measured too.
fn run(listener: &TcpListener, service: Service, sendfile: &str) -> io::Result<()> {
    let address = listener.local_addr()?;
    let location = match service {
        Service::HttpFile => "root .;".to_owned(),
        _ => format!("return 200 '{HELLO}';"),
    };
    let configuration = format!(
        "daemon off; worker_processes 1; pid nginx.pid; error_log stderr error;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; default_type text/plain; charset utf-8;
            keepalive_requests 1000000000; {sendfile}
            client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi; scgi_temp_path scgi;
            server {{ listen {address} backlog=4096; location / {{ {location} }} }}
        }}\n"
    );
    fs::write("nginx.conf", configuration)?;
    let mut command = Command::new("nginx");
    command.env("NGINX", format!("{};", listener.as_raw_fd()));
    command.args(["-e", "/dev/null", "-p", ".", "-c", "nginx.conf"]);
    Err(command.exec())
}
