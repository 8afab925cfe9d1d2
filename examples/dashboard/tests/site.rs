//! What the site answers: hosts, methods, paths and the fields of its responses.

mod support;

use dashboard::Options;
use support::Program;

fn status(program: &Program, method: &str, path: &str, host: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    program.ask(&request).0[9..12].to_owned()
}

// A DNS rebinding: a web site's name resolves to this server, so its scripts may read the answers.
#[test]
fn a_foreign_host_gets_nothing() {
    let program = Program::start(Options::default().allow_host("build-7.lan"));
    for path in ["/", "/events", "/metrics", "/health", "/nothing"] {
        for host in ["evil.example", "evil.example:80", "localhost.evil.example", "192.0.2.1"] {
            assert_eq!(status(&program, "GET", path, host), "421", "{host}{path}");
        }
    }
    let (head, body) = program.ask("GET /metrics HTTP/1.0\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 421 ") && !body.contains("loop"), "{head}\n{body}");
    let absolute = "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\n\
                    Connection: close\r\n\r\n";
    assert!(program.ask(absolute).0.starts_with("HTTP/1.1 421 "));
    let port = program.address().port();
    for host in ["localhost", &format!("127.0.0.1:{port}"), "[::1]:1", "build-7.lan:8081"] {
        assert_eq!(status(&program, "GET", "/", host), "200", "{host}");
    }
}

#[test]
fn head_options_and_unknown_methods_and_paths_are_answered_in_the_usual_way() {
    let program = Program::start(Options::default());
    for path in ["/", "/style.css", "/page.js", "/icon.svg", "/metrics", "/health", "/events"] {
        let request =
            format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (head, body) = program.ask(&request);
        assert!(head.starts_with("HTTP/1.1 200 OK") && body.is_empty(), "{path}: {head}");
        let request = request.replace("HEAD", "OPTIONS");
        let head = program.ask(&request).0;
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{path}: {head}");
        assert!(head.contains("\r\nallow: GET, HEAD, OPTIONS"), "{path}: {head}");
        assert_eq!(status(&program, "POST", path, "localhost"), "405", "{path}");
    }
    for path in ["/nothing", "/../options.rs", "/events/", "//"] {
        assert_eq!(status(&program, "GET", path, "localhost"), "404", "{path}");
    }
    program
        .wait_until("no page is open", |program| program.metric("squall_dashboard_viewers") == 0.0);
}

#[test]
fn every_response_forbids_foreign_and_inline_scripts() {
    let program = Program::start(Options::default());
    for path in ["/", "/page.js", "/metrics", "/health", "/nothing"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let (head, body) = program.ask(&request);
        let policy = head.lines().find_map(|line| line.strip_prefix("content-security-policy: "));
        let policy = policy.expect(&head);
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(head.contains("\r\nx-content-type-options: nosniff"), "{head}");
        if path == "/" {
            assert!(!body.contains("<script>") && !body.contains("style="), "{body}");
            assert!(!body.contains("http://") && !body.contains("https://"), "{body}");
        }
    }
}
