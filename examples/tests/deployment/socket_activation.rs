//! Sockets that a service manager holds and passes on.

use std::fs;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use squall_net::spawn_with_sockets;

use crate::load::{Load, NEW_CONNECTIONS};
use crate::program::{
    Process, children, example, free_addresses, get, has_socket, wait_for, wait_until,
};
use crate::support::{say, with_default_signals};

#[test]
fn systemd_socket_activate_starts_the_program_at_the_first_connection() {
    let [address] = free_addresses();
    let mut command = with_default_signals("systemd-socket-activate");
    command.args(["--listen", &address.to_string(), "--fdname=http"]);
    command.arg(example("prefork")).args(["--workers", "2"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    if Command::new("systemd-socket-activate").arg("--version").output().is_err() {
        return say("skipped: systemd-socket-activate is not installed");
    }
    let Some(mut process) = Process::start(&mut command) else { return };
    let name = || fs::read_to_string(format!("/proc/{}/comm", process.id())).unwrap();
    wait_until("it listens", || name() == "systemd-socket-\n" && has_socket(address, "0A"));
    assert!(children(process.id()).is_empty());
    assert!(get(address).unwrap().ends_with("Hello, World!"));
    assert_eq!(name(), "prefork\n");
    wait_until("both workers run", || children(process.id()).len() == 2);
    process.signal("TERM");
    assert!(process.wait().success());
}

// X7, with a closed program in between
#[test]
fn a_restart_loses_no_request_if_the_socket_outlives_the_program() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let start = || {
        let mut command = with_default_signals(example("prefork"));
        command.args(["--workers", "2"]).stdout(Stdio::null());
        Process::from(spawn_with_sockets(&mut command, &[("http", socket.as_fd())]).unwrap())
    };
    let mut program = start();
    wait_for(address);
    let load = Load::start(address, &NEW_CONNECTIONS);
    for _ in 0..3 {
        program.signal("TERM");
        assert!(program.wait().success());
        program = start();
        load.wait_for_answers(100);
    }
    load.end("the socket outlives the program, three restarts");
    program.signal("TERM");
    assert!(program.wait().success());
}
