//! The program with some load, as a process.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use support::connect;

struct Demo {
    child: Child,
    site: SocketAddr,
    dashboard: SocketAddr,
}

impl Demo {
    fn start() -> Demo {
        let mut child = Command::new("env")
            .arg("--default-signal")
            .arg(env!("CARGO_BIN_EXE_squall-dashboard"))
            .args(["--listen", "127.0.0.1:0", "--dashboard", "127.0.0.1:0"])
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut address = |prefix: &str| {
            let line = lines.next().unwrap();
            let url = line.strip_prefix(prefix).expect(&line).trim_end_matches('/');
            url.strip_prefix("http://").unwrap().parse().unwrap()
        };
        let (site, dashboard) = (address("listening on "), address("the dashboard is "));
        Demo { child, site, dashboard }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_program_serves_its_page_and_its_dashboard_until_it_is_told_to_end() {
    let mut demo = Demo::start();
    let page = ask(demo.site, "GET / HTTP/1.0\r\n\r\n");
    assert!(page.contains(&format!("<a href=\"http://{}/\">", demo.dashboard)), "{page}");
    let body = "seconds=31";
    let post = "POST /hold HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    let refused = ask(demo.site, &format!("{post}Content-Length: {}\r\n\r\n{body}", body.len()));
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    let metrics = ask(demo.dashboard, "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n");
    for series in ["squall_loop_up{loop=\"main\"} 1", "squall_loop_up{loop=\"worker\"} 1"] {
        assert!(metrics.contains(series), "{metrics}");
    }
    assert!(metrics.contains("\nhttp_connections{loop=\"main\"} "), "{metrics}");
    let pid = Pid::from_child(&demo.child);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(demo.child.wait().unwrap().success());
}

#[test]
fn an_unknown_option_is_one_line_and_status_2() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_squall-dashboard")).arg("--nothing").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}
