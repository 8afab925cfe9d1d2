//! Two servers behind HAProxy, as `deploy/haproxy.cfg` has it.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::load::{ALL_KINDS, Load};
use crate::program::{
    Directory, HttpServer, Process, deploy, free_addresses, get, wait_for, wait_until,
};

struct HaProxy {
    _process: Process,
    address: SocketAddr,
    directory: Directory,
}

impl HaProxy {
    /// Starts HAProxy in front of two servers. Returns `None` if it is not installed.
    fn start(one: SocketAddr, two: SocketAddr) -> Option<HaProxy> {
        let [address] = free_addresses();
        let directory = Directory::new("haproxy", address.port());
        let process = Process::start(
            Command::new("haproxy")
                .args(["-db", "-f"])
                .arg(deploy("haproxy.cfg"))
                .env("SQUALL_FRONT", address.to_string())
                .env("SQUALL_ONE", one.to_string())
                .env("SQUALL_TWO", two.to_string())
                .env("SQUALL_ADMIN", directory.path().join("admin"))
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )?;
        let haproxy = HaProxy { _process: process, address, directory };
        wait_for(address);
        Some(haproxy)
    }

    /// Sends a command to the administration socket, and returns what it answers.
    fn command(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.directory.path().join("admin")).unwrap();
        writeln!(socket, "{command}").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// A field of `show stat` for a server of a backend.
    fn stat(&self, backend: &str, server: &str, field: &str) -> String {
        let table = self.command("show stat");
        let mut lines = table.lines();
        let names = lines.next().unwrap().trim_start_matches("# ").split(',');
        let column = names.clone().position(|name| name == field).expect(&table);
        let row = lines.find(|line| line.starts_with(&format!("{backend},{server},")));
        row.expect(&table).split(',').nth(column).unwrap().to_owned()
    }

    /// Takes a server out of service, calls `work` when it has no sessions, and brings it back.
    fn without(&self, server: &str, work: impl FnOnce()) {
        self.command(&format!("set server squall/{server} state drain"));
        wait_until("the server has no sessions", || {
            ["squall", "squall_once"].iter().all(|backend| {
                self.stat(backend, server, "status").starts_with("DRAIN")
                    && self.stat(backend, server, "scur") == "0"
            })
        });
        work();
        self.command(&format!("set server squall/{server} state ready"));
    }
}

#[test]
fn behind_haproxy_no_request_fails_while_the_workers_and_then_the_servers_are_replaced() {
    let [one, two] = free_addresses();
    let (mut one, mut two) = (HttpServer::start(one, 2), HttpServer::start(two, 2));
    let Some(haproxy) = HaProxy::start(one.address, two.address) else { return };

    let load = Load::start(haproxy.address, &ALL_KINDS);
    one.replace_workers();
    two.replace_workers();
    load.end("HAProxy, workers replaced");

    let load = Load::start(haproxy.address, &ALL_KINDS);
    haproxy.without("one", || one.restart(2));
    load.wait_for_answers(200);
    haproxy.without("two", || two.restart(2));
    load.end("HAProxy, servers restarted one after the other");
}

#[test]
fn haproxy_takes_a_server_out_whose_loop_is_stuck_and_back_when_it_runs() {
    let [one, two] = free_addresses();
    let (one, two) = (HttpServer::start(one, 1), HttpServer::start(two, 1));
    let Some(haproxy) = HaProxy::start(one.address, two.address) else { return };
    let status = |server| haproxy.stat("squall", server, "status");
    wait_until("both are up", || status("one") == "UP" && status("two") == "UP");
    one.process.signal("STOP");
    wait_until("the check fails", || status("one") == "DOWN");
    for _ in 0..20 {
        assert!(get(haproxy.address).unwrap().ends_with("Hello, World!"));
    }
    one.process.signal("CONT");
    wait_until("the check succeeds", || status("one") == "UP");
}
