//! Runs the program `http_server` as a process against curl, Python, ab and wrk.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use support::{ServerProcess, program, say, tool};

#[test]
fn curl_gets_every_route() {
    let server = ServerProcess::start(&[]);
    let curl = |options: &[&str], path: &str| {
        let url = server.url(path);
        tool("curl", &[&["-sS", "--max-time", "20"], options, &[url.as_str()]].concat())
    };
    let Some(root) = curl(&["-i"], "/") else { return };
    assert!(
        root.starts_with("HTTP/1.1 200 OK\r\n") && root.ends_with("\r\n\r\nHello, World!"),
        "{root}"
    );
    assert!(root.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{root}");
    assert_eq!(curl(&[], "/hello/squall").unwrap(), "Hello, squall!");
    let echo = ["-i", "--data-binary", "some bytes", "-H", "Content-Type: x/y"];
    let echo = curl(&echo, "/echo").unwrap();
    assert!(
        echo.contains("Content-Type: x/y\r\n") && echo.ends_with("\r\n\r\nsome bytes"),
        "{echo}"
    );
    let chunked = ["--data-binary", "some bytes", "-H", "Transfer-Encoding: chunked"];
    assert_eq!(curl(&chunked, "/echo").unwrap(), "some bytes");
    assert_eq!(curl(&[], "/stream").unwrap(), "10\n9\n8\n7\n6\n5\n4\n3\n2\n1\n");
    assert!(curl(&["-i"], "/stream").unwrap().contains("Transfer-Encoding: chunked"));
    assert!(curl(&[], "/stats").unwrap().contains("\"live_tasks\":"));
    let status = |options: &[&str], path| {
        let print = ["-o", "/dev/null", "-w", "%{http_code}"];
        curl(&[&print, options].concat(), path).unwrap()
    };
    assert_eq!(status(&[], "/nowhere"), "404");
    assert_eq!(status(&["-X", "DELETE"], "/"), "405");
    assert_eq!(status(&["-X", "FOO"], "/stats"), "405");
    assert_eq!(status(&[], "/echo"), "405");
    assert_eq!(status(&["-I"], "/"), "200");
    assert_eq!(status(&["-0"], "/"), "200");
    let large = vec![b'x'; 20 << 20];
    let file = std::env::temp_dir().join(format!("squall-large-{}", std::process::id()));
    std::fs::write(&file, large).unwrap();
    let name = format!("@{}", file.display());
    for _ in 0..5 {
        assert_eq!(status(&["--data-binary", &name], "/echo"), "413");
        assert_eq!(status(&["--data-binary", &name, "-H", "Expect:"], "/echo"), "413");
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn python_talks_over_one_keep_alive_connection() {
    let server = ServerProcess::start(&[]);
    let script = r#"
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=20)
connection.connect()
port = connection.sock.getsockname()
for n in range(2000):
    if n % 4 == 3:
        body = b"%d" % n * (n % 500)
        connection.request("POST", "/echo", body, {"Content-Type": "a/b"})
    else:
        body = b"Hello, %d!" % n
        connection.request("GET", "/hello/%d" % n)
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read() == body, n
connection.request("POST", "/echo", iter([b"in ", b"pieces"]), encode_chunked=True)
assert connection.getresponse().read() == b"in pieces"
connection.request("HEAD", "/")
answer = connection.getresponse()
assert answer.read() == b"" and answer.getheader("Content-Length") == "13"
connection.request("GET", "/stream")
assert connection.getresponse().read().startswith(b"10\n9\n")
assert connection.sock.getsockname() == port, "the connection was not kept"
print("done")
"#;
    if let Some(text) = tool("python3", &["-c", script, &server.address]) {
        assert_eq!(text, "done\n");
    }
}

/// The first number in the report's line that contains `label`.
fn number(report: &str, label: &str) -> u64 {
    let line =
        report.lines().find(|line| line.contains(label)).unwrap_or_else(|| panic!("{report}"));
    let word = line.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    word.unwrap_or_else(|| panic!("{line}")).parse().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn none_of_250_000_requests_from_ab_and_wrk_fails() {
    let server = ServerProcess::start(&["--workers", "1"]);
    let url = server.url("/");
    if let Some(report) = tool("ab", &["-q", "-k", "-n", "100000", "-c", "50", &url]) {
        assert_eq!(number(&report, "Complete requests:"), 100_000, "{report}");
        assert_eq!(number(&report, "Failed requests:"), 0, "{report}");
        assert_eq!(number(&report, "Keep-Alive requests:"), 100_000, "{report}");
        assert!(!report.contains("Non-2xx"), "{report}");
        say(&format!("ab -k: {} requests, none failed", number(&report, "Complete requests:")));
    }
    let script = std::env::temp_dir().join(format!("squall-pipeline-{}.lua", std::process::id()));
    let lua = "local batch\n\
               init = function() local one = wrk.format(nil, '/') batch = string.rep(one, 16) end\n\
               request = function() return batch end\n\
               done = function(summary, latency)\n\
               local e = summary.errors\n\
               io.write('answers ', summary.requests, '\\nfailures ',\n\
               e.connect + e.read + e.write + e.status + e.timeout, '\\n') end\n";
    std::fs::write(&script, lua).unwrap();
    let script_name = script.display().to_string();
    let mut answers = 0;
    // A debug build on a busy machine is slow: runs wrk until it got enough answers, at most 20
    // times.
    for _ in 0..20 {
        let Some(report) = tool("wrk", &["-t1", "-c32", "-d2s", "-s", &script_name, &url]) else {
            break;
        };
        assert_eq!(number(&report, "failures"), 0, "{report}");
        answers += number(&report, "answers");
        if answers >= 150_000 {
            say(&format!("wrk, 16 pipelined: {answers} requests, none failed"));
            break;
        }
    }
    std::fs::remove_file(script).unwrap();
    assert!(answers == 0 || answers >= 150_000, "wrk got only {answers} answers");
}

#[test]
fn several_workers_share_the_port_and_all_end_at_sigterm() {
    let mut server = ServerProcess::start(&["--workers", "3"]);
    for n in 0..50 {
        let (_, body) =
            server.client().send(format!("GET /hello/{n} HTTP/1.1\r\nHost: x\r\n\r\n")).answer();
        assert_eq!(body, format!("Hello, {n}!"));
    }
    server.signal("TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn sigterm_and_sigint_finish_running_requests_and_exit_with_0() {
    for signal in ["TERM", "INT"] {
        let mut server = ServerProcess::start(&[]);
        let mut idle = server.client();
        idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer();
        let mut busy = server.client();
        busy.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
        busy.0.read_exact(&mut [0]).unwrap(); // the request is running
        server.signal(signal);
        assert_eq!(idle.rest(), "");
        let answer = busy.rest();
        assert!(answer.ends_with("\r\n2\r\n1\n\r\n0\r\n\r\n"), "{answer}");
        assert_eq!(server.child.wait().unwrap().code(), Some(0), "SIG{signal}");
    }
}

#[test]
fn a_second_signal_ends_the_server_at_once() {
    let mut server = ServerProcess::start(&[]);
    let mut busy = server.client();
    busy.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    busy.0.read_exact(&mut [0]).unwrap();
    server.signal("INT");
    // Once the server refuses new connections, it has handled the first signal.
    while std::net::TcpStream::connect(&server.address).is_ok() {
        thread::sleep(Duration::from_millis(1));
    }
    server.signal("INT");
    let status = server.child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
}

#[test]
fn wrong_options_print_one_line_and_exit_with_2_and_a_used_port_with_1() {
    let run = |arguments: &[&str]| {
        let output = Command::new(program()).args(arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.stdout.is_empty(), "{arguments:?}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
        (output.status.code(), errors)
    };
    for (arguments, wanted) in [
        (&["--bogus"][..], "--bogus"),
        (&["--workers"], "--workers"),
        (&["--workers", "0"], "at least 1"),
        (&["--workers", "many"], "many"),
        (&["stray"], "stray"),
    ] {
        let (code, errors) = run(arguments);
        assert!(code == Some(2) && errors.contains(wanted), "{arguments:?}: {errors}");
    }
    let used = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = used.local_addr().unwrap().to_string();
    let (code, errors) = run(&["--listen", &address]);
    assert!(
        code == Some(1) && errors.contains("Address already in use") && errors.contains(&address),
        "{errors}"
    );
    let (code, errors) = run(&["--listen", "nonsense"]);
    assert!(code == Some(1) && errors.contains("cannot listen on nonsense"), "{errors}");
    let help = Command::new(program()).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--workers N"));
}

// R1: with a descriptor table that is really full, not with an injected error
#[test]
fn a_server_without_descriptors_rests_and_recovers() {
    let program = program().display().to_string();
    let limited = format!("ulimit -n 40; exec {program} --listen 127.0.0.1:0 2>/dev/null");
    let mut child = Command::new("sh")
        .args(["-c", &limited])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
    let mut server = ServerProcess { child, address };
    let held: Vec<_> = (0..100).map(|_| server.client()).collect();
    let cpu = |server: &ServerProcess| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    thread::sleep(Duration::from_millis(200));
    let before = cpu(&server);
    thread::sleep(Duration::from_secs(1));
    // A tick is 10 ms of CPU time. A busy loop would have used about 100 ticks.
    assert!(cpu(&server) - before <= 10, "{} ticks in a second", cpu(&server) - before);
    drop(held);
    let (_, body) = server.client().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer();
    assert_eq!(body, "Hello, World!");
    server.signal("TERM");
    assert!(server.child.wait().unwrap().success());
}

// I4: the process starts with the default action of SIGPIPE
#[test]
fn a_server_with_the_default_sigpipe_survives_clients_that_left() {
    let server = ServerProcess::start(&[]);
    for _ in 0..300 {
        let mut client = server.client();
        for _ in 0..50 {
            let _ = client.0.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        }
        drop(client);
    }
    assert_eq!(
        server.client().send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").answer().1,
        "Hello, World!"
    );
}
