//! What tools send before they trust a server: load generators, health checks and probes. Each gets
//! what it expects, and the server logs nothing about it.

mod support;

use std::io::Read;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use support::{ServerProcess, WATCHDOG, say, tool};

/// The program `http_server`, and the file with what it logs at level `info` and above.
struct Observed {
    server: ServerProcess,
    log: PathBuf,
    /// The live tasks of a server with one connection.
    tasks: u64,
}

impl Observed {
    fn start(name: &str) -> Observed {
        let name = format!("squall-probes-{name}-{}", std::process::id());
        let log = std::env::temp_dir().join(name);
        let file = std::fs::File::create(&log).unwrap();
        let server =
            ServerProcess::start_with(|command| command.env("RUST_LOG", "info").stderr(file));
        let tasks = server.stat("live_tasks");
        Observed { server, log, tasks }
    }

    /// Fails if a connection is left or something was logged.
    fn check(self) {
        let begin = Instant::now();
        while self.server.stat("live_tasks") > self.tasks {
            assert!(begin.elapsed() < WATCHDOG, "a connection is left");
        }
        let log = std::fs::read_to_string(&self.log).unwrap();
        std::fs::remove_file(&self.log).unwrap();
        assert_eq!(log, "", "the server logged what a client did");
    }
}

/// The text of each probe, and whether the connection stays open after the answer.
const PROBES: [(&str, &str, bool); 13] = [
    // Kubernetes, HTTP
    (
        "GET / HTTP/1.1\r\nHost: 10.1.2.3:8080\r\nUser-Agent: kube-probe/1.29\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n",
        "200",
        false,
    ),
    ("HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "200", false),
    // Apache: the internal dummy connection and mod_proxy_hcheck
    (
        "OPTIONS * HTTP/1.0\r\nUser-Agent: Apache/2.4 (internal dummy connection)\r\n\r\n",
        "200",
        false,
    ),
    ("OPTIONS * HTTP/1.0\r\nHost: x:8080\r\n\r\n", "200", false),
    ("OPTIONS * HTTP/1.1\r\nHost: x:8080\r\n\r\n", "200", true),
    ("HEAD / HTTP/1.0\r\nHost: x:8080\r\n\r\n", "200", false),
    // HAProxy
    ("OPTIONS / HTTP/1.0\r\n\r\n", "200", false),
    // nginx
    ("GET / HTTP/1.0\r\nHost: backend\r\nConnection: close\r\n\r\n", "200", false),
    // ab
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: x\r\nAccept: */*\r\n\r\n", "200", true),
    // OPTIONS may have a body (RFC 9110, 9.3.7)
    ("OPTIONS /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", "200", true),
    // curl --http2: an offer to change the protocol, which the server ignores
    (
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
         HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n",
        "200",
        true,
    ),
    // h2load: HTTP/2 without an offer
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0d", "505", false),
    // A browser that expects TLS
    ("\x16\x03\x01\x02\0\x01\0\x01\u{7c}\x03\x03", "400", false),
];

#[test]
fn every_probe_gets_its_status_and_nothing_is_logged() {
    let observed = Observed::start("statuses");
    for (probe, status, stays_open) in PROBES {
        let mut client = observed.server.client();
        client.send(probe);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.0.read_exact(&mut byte).expect("the head of a response");
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{probe:?}: {head}");
        assert_eq!(head.contains("Connection: close"), !stays_open, "{probe:?}: {head}");
        if probe.starts_with("OPTIONS /") {
            assert!(head.contains("\r\nallow: "), "{probe:?}: {head}");
        }
        if !stays_open {
            client.end().rest();
        }
    }
    observed.check();
}

#[test]
fn thousands_of_connections_that_close_at_once_are_not_logged() {
    let observed = Observed::start("tcp");
    for n in 0..4000 {
        let mut client = observed.server.client();
        match n % 4 {
            0 => drop(client),
            1 => client.reset(),
            2 => drop(client.send("GET / HTT")),
            _ => {
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
                client.reset();
            }
        }
    }
    let (_, body) = observed.server.client().send("GET / HTTP/1.0\r\n\r\n").answer();
    assert_eq!(body, "Hello, World!");
    observed.check();
}

#[test]
fn curl_gets_what_it_expects_from_unusual_requests() {
    let observed = Observed::start("curl");
    let url = observed.server.url("/");
    let curl = |options: &[&str]| {
        let print = ["-sS", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}"];
        tool("curl", &[&print, options, &[url.as_str()]].concat()).unwrap()
    };
    let Some(version) = tool("curl", &["--version"]) else { return };
    let has_http2 = version.contains("HTTP2");
    for (options, status) in [
        (&["-X", "OPTIONS", "--request-target", "*"][..], "200"),
        (&["-X", "OPTIONS"], "200"),
        (&["--http1.0"], "200"),
        (if has_http2 { &["--http2"] } else { &[] }, "200"),
        (&["-I"], "200"),
        (&["-x", &url], "200"), // the absolute form
        (&["--request-target", "/#fragment"], "400"),
        (&["-H", "Host: not a host"], "400"),
        (&["-T", "Cargo.toml", "--request-target", "/"], "405"),
        (&["-r", "0-4"], "200"),
    ] {
        assert_eq!(curl(options), status, "{options:?}");
    }
    // A client of HTTP/2 only fails. It does not wait.
    let prior = Command::new("curl").args(["-s", "--http2-prior-knowledge", &url]).output();
    assert!(!prior.unwrap().status.success());
    observed.check();
}

#[test]
fn load_generators_lose_no_request_and_are_not_logged() {
    let observed = Observed::start("load");
    let url = observed.server.url("/");
    let report = |name, options: &[&str]| tool(name, &[options, &[url.as_str()]].concat());
    // Without keep-alive, with keep-alive, and with HEAD.
    for options in [&["-q", "-n", "2000", "-c", "20"][..], &["-q", "-k", "-n", "5000", "-c", "20"]]
    {
        if let Some(report) = report("ab", options) {
            assert!(report.contains("Failed requests:        0\n"), "{report}");
            assert!(!report.contains("Non-2xx"), "{report}");
        }
    }
    if let Some(report) = report("wrk", &["-t1", "-c20", "-d1s", "--timeout", "20s"]) {
        assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
    }
    if let Some(report) = report("h2load", &["--h1", "-n", "5000", "-c", "20", "-m", "4"]) {
        assert!(report.contains("5000 succeeded, 0 failed, 0 errored"), "{report}");
        say("h2load --h1: 5000 requests, none failed");
    }
    observed.check();
}
