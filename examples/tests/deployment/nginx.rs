//! Two servers behind nginx, as `deploy/nginx.conf` has it.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;

use crate::load::{ALL_KINDS, GETS, Load};
use crate::program::{
    Directory, HttpServer, Process, deploy, free_addresses, get, wait_for, wait_until,
};
use crate::support::Client;

/// What a distribution's nginx.conf has around the file that is tested.
const AROUND: &str = "
daemon off; pid nginx.pid; error_log error.log; worker_processes 2;
events { worker_connections 1024; }
http {
    access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    add_header X-Served-By $upstream_addr;
    include squall.conf;
}
";

struct Nginx {
    process: Process,
    address: SocketAddr,
    directory: Directory,
}

impl Nginx {
    /// Starts nginx in front of two servers. Returns `None` if it is not installed.
    fn start(one: SocketAddr, two: SocketAddr) -> Option<Nginx> {
        let [address] = free_addresses();
        let directory = Directory::new("nginx", address.port());
        let site = fs::read_to_string(deploy("nginx.conf")).unwrap();
        let site = [("8000", address), ("8001", one), ("8002", two)].iter().fold(
            site,
            |site, (port, address)| {
                site.replace(&format!("127.0.0.1:{port}"), &address.to_string())
            },
        );
        fs::write(directory.path().join("squall.conf"), site).unwrap();
        fs::write(directory.path().join("nginx.conf"), AROUND).unwrap();
        let process = Process::start(nginx(&directory).stdout(Stdio::null()))?;
        let nginx = Nginx { process, address, directory };
        wait_for(address);
        Some(nginx)
    }

    /// Waits until a server has answered several requests, so that nginx no longer leaves it out.
    fn wait_until_it_uses(&self, server: SocketAddr) {
        let served_by = format!("\r\nX-Served-By: {server}\r\n");
        let mut answers = 0;
        wait_until("nginx uses the server", || {
            answers += i32::from(get(self.address).unwrap().contains(&served_by));
            answers == 3
        });
    }

    /// What nginx has logged.
    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("error.log")).unwrap_or_default()
    }
}

/// The program, to be started or, with an option, to be told something.
fn nginx(directory: &Directory) -> Command {
    let mut command = Command::new("nginx");
    command.args(["-e", "error.log", "-c", "nginx.conf", "-p"]).arg(directory.path());
    command
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.signal("TERM"); // ends the workers too, as a kill would not
        self.process.wait();
    }
}

#[test]
fn behind_nginx_no_request_fails_while_the_workers_and_then_the_servers_are_replaced() {
    let [one, two] = free_addresses();
    let (mut one, mut two) = (HttpServer::start(one, 2), HttpServer::start(two, 2));
    let Some(nginx) = Nginx::start(one.address, two.address) else { return };

    let load = Load::start(nginx.address, &ALL_KINDS);
    one.replace_workers();
    two.replace_workers();
    load.end("nginx, workers replaced");

    // The listening sockets are closed for a moment here. nginx repeats what it may, as long as it
    // leaves out only one of the servers.
    nginx.wait_until_it_uses(one.address);
    nginx.wait_until_it_uses(two.address);
    let load = Load::start(nginx.address, &GETS);
    one.restart(2);
    nginx.wait_until_it_uses(one.address);
    two.restart(2);
    load.end("nginx, servers restarted");
    assert!(nginx.log().contains("Connection refused"), "nginx has not noticed: {}", nginx.log());
}

#[test]
fn nginx_leaves_out_a_server_whose_loop_is_stuck() {
    let [one, two] = free_addresses();
    let (one, two) = (HttpServer::start(one, 1), HttpServer::start(two, 1));
    let Some(nginx) = Nginx::start(one.address, two.address) else { return };
    let address = nginx.address;
    one.process.signal("STOP");
    let clients: Vec<_> = (0..8).map(|_| thread::spawn(move || get(address))).collect();
    for client in clients {
        assert!(client.join().unwrap().unwrap().ends_with("Hello, World!"));
    }
    assert!(nginx.log().contains("upstream timed out"), "{}", nginx.log());
    assert!(!nginx.log().contains("no live upstreams"), "{}", nginx.log());
    one.process.signal("CONT");
}

#[test]
fn nginx_keeps_its_connections_to_a_server() {
    let [one, two] = free_addresses();
    let (one, two) = (HttpServer::start(one, 1), HttpServer::start(two, 1));
    let Some(nginx) = Nginx::start(one.address, two.address) else { return };
    for _ in 0..100 {
        assert!(get(nginx.address).unwrap().ends_with("Hello, World!"));
    }
    for server in [&one, &two] {
        let (_, stats) = Client::connect(server.address)
            .send("GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .answer();
        let registrations: u32 = number_after(&stats, "\"registrations\":");
        assert!(registrations < 15, "nginx has made a connection for each request: {stats}");
    }
}

#[test]
fn nginx_checks_the_configuration_and_loads_it_again() {
    let [one, two] = free_addresses();
    let (one, two) = (HttpServer::start(one, 1), HttpServer::start(two, 1));
    let Some(server) = Nginx::start(one.address, two.address) else { return };
    for arguments in [&["-t", "-q"][..], &["-s", "reload"]] {
        let output = nginx(&server.directory).args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    assert!(get(server.address).unwrap().ends_with("Hello, World!"));
}

fn number_after(text: &str, label: &str) -> u32 {
    let (_, rest) = text.split_once(label).expect(text);
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect(text)
}
