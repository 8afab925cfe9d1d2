//! Requests to test a server with: malformed ones with the status that they get, and unusual ones
//! that are valid.

use std::time::Duration;

use tiny_http::Config;

/// Follows every malformed request. If the handler gets it, the request was smuggled.
pub(crate) const EVIL: &str = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n";

/// Limits that a small request exceeds.
pub(crate) fn limits() -> Config {
    Config {
        max_head_bytes: 1024,
        max_headers: 10,
        max_body_bytes: 100,
        head_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(10),
        linger_timeout: Duration::from_secs(5),
    }
}

/// A case's name, the expected status, and the request.
pub(crate) type Case = (String, u16, String);

fn head(line: &str, fields: &[&str]) -> String {
    let mut text = format!("{line}\r\n");
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

pub(crate) fn get(fields: &[&str]) -> String {
    head("GET / HTTP/1.1", &[&["Host: x"], fields].concat())
}

fn post(fields: &[&str], body: &str) -> String {
    head("POST / HTTP/1.1", &[&["Host: x"], fields].concat()) + body
}

fn chunked(body: &str) -> String {
    post(&["Transfer-Encoding: chunked"], body)
}

/// Malformed requests that a person has thought of.
fn written() -> Vec<(&'static str, u16, String)> {
    let many: Vec<String> = (0..11).map(|n| format!("X-{n}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let long = "y".repeat(2000);
    vec![
        // H1: ambiguous framing
        (
            "length and chunked",
            400,
            post(&["Content-Length: 5", "Transfer-Encoding: chunked"], "0\r\n\r\n"),
        ),
        (
            "chunked and length",
            400,
            post(&["Transfer-Encoding: chunked", "Content-Length: 5"], "0\r\n\r\n"),
        ),
        ("gzip, chunked", 400, post(&["Transfer-Encoding: gzip, chunked"], "0\r\n\r\n")),
        ("chunked, chunked", 400, post(&["Transfer-Encoding: chunked, chunked"], "0\r\n\r\n")),
        (
            "chunked twice",
            400,
            post(&["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "0\r\n\r\n"),
        ),
        ("identity", 400, post(&["Transfer-Encoding: identity"], "")),
        ("xchunked", 400, post(&["Transfer-Encoding: xchunked"], "0\r\n\r\n")),
        ("empty coding", 400, post(&["Transfer-Encoding:"], "")),
        (
            "chunked on HTTP/1.0",
            400,
            head("POST / HTTP/1.0", &["Transfer-Encoding: chunked"]) + "0\r\n\r\n",
        ),
        // H2: lengths
        ("two lengths that differ", 400, post(&["Content-Length: 3", "Content-Length: 4"], "abc")),
        ("two lengths in one", 400, post(&["Content-Length: 3, 4"], "abc")),
        ("equal lengths in one", 400, post(&["Content-Length: 3, 3"], "abc")),
        ("length given twice", 400, post(&["Content-Length: 3", "Content-Length: 3"], "abc")),
        ("signed length", 400, post(&["Content-Length: +3"], "abc")),
        ("negative length", 400, post(&["Content-Length: -3"], "abc")),
        ("hexadecimal length", 400, post(&["Content-Length: 0x3"], "abc")),
        ("underscored length", 400, post(&["Content-Length: 1_0"], "abc")),
        ("length with a space", 400, post(&["Content-Length: 1 0"], "abc")),
        ("empty length", 400, post(&["Content-Length:"], "")),
        ("length of 2^64", 400, post(&["Content-Length: 18446744073709551616"], "")),
        ("length of 26 digits", 400, post(&["Content-Length: 00000000000000000000000003"], "abc")),
        // H3, H4: chunks
        ("chunk size of 17 digits", 400, chunked("10000000000000000\r\n")),
        ("chunk size of 2^64 - 1", 413, chunked("ffffffffffffffff\r\n")),
        ("signed chunk size", 400, chunked("+3\r\nabc\r\n0\r\n\r\n")),
        ("negative chunk size", 400, chunked("-3\r\nabc\r\n0\r\n\r\n")),
        ("space before the chunk size", 400, chunked(" 3\r\nabc\r\n0\r\n\r\n")),
        ("space after the chunk size", 400, chunked("3 \r\nabc\r\n0\r\n\r\n")),
        ("space before an extension", 400, chunked("3 ;a=b\r\nabc\r\n0\r\n\r\n")),
        ("0x in the chunk size", 400, chunked("0x3\r\nabc\r\n0\r\n\r\n")),
        ("underscore in the chunk size", 400, chunked("1_a\r\nabc\r\n0\r\n\r\n")),
        ("empty chunk size", 400, chunked("\r\nabc\r\n0\r\n\r\n")),
        ("chunk size that is no number", 400, chunked("xyz\r\nabc\r\n0\r\n\r\n")),
        ("chunk line that ends in LF", 400, chunked("3\nabc\r\n0\r\n\r\n")),
        ("LF inside an extension", 400, chunked("3;a\nb\r\nabc\r\n0\r\n\r\n")),
        ("CR inside an extension", 400, chunked("3;a\rb\r\nabc\r\n0\r\n\r\n")),
        ("NUL inside an extension", 400, chunked("3;a\0b\r\nabc\r\n0\r\n\r\n")),
        ("chunk longer than its size", 400, chunked("3\r\nabcd\r\n0\r\n\r\n")),
        ("chunk shorter than its size", 400, chunked("5\r\nabc\r\n0\r\n\r\n")),
        ("endless chunk line", 400, chunked(&format!("3;{long}"))),
        ("trailer without a colon", 400, chunked("0\r\nnonsense\r\n\r\n")),
        (
            "chunks over the limit",
            413,
            chunked(&("20\r\n".to_owned() + &"z".repeat(32) + "\r\n").repeat(5)),
        ),
        ("endless trailers", 431, chunked(&format!("0\r\nA: {long}"))),
        // Bytes that a head must not contain
        ("bare CR in a value", 400, get(&["X: a\rb"])),
        ("bare CR in the target", 400, head("GET /\rx HTTP/1.1", &["Host: x"])),
        ("NUL in a value", 400, get(&["X: a\0b"])),
        ("NUL in a name", 400, get(&["X\0: a"])),
        ("NUL in the target", 400, head("GET /\0 HTTP/1.1", &["Host: x"])),
        ("form feed in a value", 400, get(&["X: a\x0cb"])),
        ("obs-fold", 400, get(&["X: a", " b"])),
        ("obs-fold with a tab", 400, get(&["X: a", "\tb"])),
        ("fold on the first line", 400, head("GET / HTTP/1.1", &[" Host: x"])),
        ("space before the colon", 400, get(&["X : a"])),
        ("Host with a space before the colon", 400, head("GET / HTTP/1.1", &["Host : x"])),
        ("no colon", 400, get(&["nonsense"])),
        ("empty name", 400, get(&[": a"])),
        ("space in a name", 400, get(&["A B: c"])),
        // Host
        ("no Host", 400, head("GET / HTTP/1.1", &[])),
        ("two Hosts", 400, head("GET / HTTP/1.1", &["Host: x", "Host: x"])),
        ("two Hosts on HTTP/1.0", 400, head("GET / HTTP/1.0", &["Host: x", "Host: y"])),
        ("comma in Host", 400, head("GET / HTTP/1.1", &["Host: x, y"])),
        ("space in Host", 400, head("GET / HTTP/1.1", &["Host: foo bar"])),
        ("path in Host", 400, head("GET / HTTP/1.1", &["Host: x/y"])),
        ("userinfo in Host", 400, head("GET / HTTP/1.1", &["Host: user@x"])),
        ("port without a host", 400, head("GET / HTTP/1.1", &["Host: :80"])),
        ("port that is no number", 400, head("GET / HTTP/1.1", &["Host: x:http"])),
        ("port that no socket has", 400, head("GET / HTTP/1.1", &["Host: x:65536"])),
        ("two ports", 400, head("GET / HTTP/1.1", &["Host: x:80:80"])),
        ("IPv6 address without brackets", 400, head("GET / HTTP/1.1", &["Host: ::1"])),
        ("one bracket in Host", 400, head("GET / HTTP/1.1", &["Host: [::1"])),
        ("name in brackets", 400, head("GET / HTTP/1.1", &["Host: [x]"])),
        ("text after brackets", 400, head("GET / HTTP/1.1", &["Host: [::1]80"])),
        ("brackets inside a name", 400, head("GET / HTTP/1.1", &["Host: x[::1]"])),
        ("bad escape in Host", 400, head("GET / HTTP/1.1", &["Host: x%4"])),
        ("bad Host on HTTP/1.0", 400, head("GET / HTTP/1.0", &["Host: x:y"])),
        // Request line
        ("two spaces before the target", 400, head("GET  / HTTP/1.1", &["Host: x"])),
        ("two spaces after the target", 400, head("GET /  HTTP/1.1", &["Host: x"])),
        ("a third word", 400, head("GET / x HTTP/1.1", &["Host: x"])),
        ("space after the version", 400, head("GET / HTTP/1.1 ", &["Host: x"])),
        ("space before the method", 400, head(" GET / HTTP/1.1", &["Host: x"])),
        ("comma in the method", 400, head("FOO,BAR / HTTP/1.1", &["Host: x"])),
        ("no target", 400, head("GET HTTP/1.1", &["Host: x"])),
        ("no version", 400, head("GET /", &["Host: x"])),
        ("target that is not a path", 400, head("GET x HTTP/1.1", &["Host: x"])),
        ("fragment", 400, head("GET /#x HTTP/1.1", &["Host: x"])),
        ("fragment after a query", 400, head("GET /?a#x HTTP/1.1", &["Host: x"])),
        ("fragment in the absolute form", 400, head("GET http://x#y HTTP/1.1", &["Host: x"])),
        ("absolute form, empty host", 400, head("GET http:///p HTTP/1.1", &["Host: x"])),
        ("absolute form, only a port", 400, head("GET http://:80/p HTTP/1.1", &["Host: x"])),
        ("absolute form, only a query", 400, head("GET http://?q HTTP/1.1", &["Host: x"])),
        ("absolute form, userinfo", 400, head("GET http://user@x/ HTTP/1.1", &["Host: x"])),
        ("absolute form, password", 400, head("GET http://a:b@x/ HTTP/1.1", &["Host: x"])),
        ("absolute form, bad port", 400, head("GET http://x:y/ HTTP/1.1", &["Host: x"])),
        ("GET of an asterisk", 400, head("GET * HTTP/1.1", &["Host: x"])),
        ("asterisk and more", 400, head("OPTIONS */ HTTP/1.1", &["Host: x"])),
        ("lower-case version", 400, head("GET / http/1.1", &["Host: x"])),
        ("HTTP/1.11", 400, head("GET / HTTP/1.11", &["Host: x"])),
        ("nonsense", 400, "asdf\r\n\r\n".into()),
        ("a TLS hello", 400, "\x16\x03\x01\x02\0\x01".into()),
        // Versions, methods and expectations
        ("HTTP/2.0", 505, head("GET / HTTP/2.0", &["Host: x"])),
        ("HTTP/1.2", 505, head("GET / HTTP/1.2", &["Host: x"])),
        ("HTTP/0.9", 505, head("GET / HTTP/0.9", &["Host: x"])),
        ("CONNECT", 501, head("CONNECT x:80 HTTP/1.1", &["Host: x"])),
        ("unknown expectation", 417, post(&["Expect: tea", "Content-Length: 3"], "abc")),
        // H7: limits
        ("too many fields", 431, get(&many)),
        ("a value over the limit", 431, get(&[&format!("X: {long}")])),
        ("a name over the limit", 431, get(&[&format!("{long}: x")])),
        ("a target over the limit", 414, head(&format!("GET /{long} HTTP/1.1"), &["Host: x"])),
        ("a length over the limit", 413, post(&["Content-Length: 101"], "")),
        ("a length far over the limit", 413, post(&["Content-Length: 9223372036854775807"], "")),
    ]
}

/// The written cases, and one for each byte that must not stand in each part of a request.
pub(crate) fn malformed() -> Vec<Case> {
    let controls = (0..32).chain([127]).filter(|byte| !b"\t\r\n".contains(byte)).map(char::from);
    let controls: Vec<char> = controls.collect();
    let written = written().into_iter();
    let mut cases: Vec<Case> =
        written.map(|(name, status, request)| (name.to_owned(), status, request)).collect();
    let mut add = |what: &str, byte: char, request: String| {
        cases.push((format!("{byte:?} in {what}"), 400, request));
    };
    for byte in &controls {
        add("a method", *byte, head(&format!("G{byte}T / HTTP/1.1"), &["Host: x"]));
        add("a target", *byte, head(&format!("GET /{byte}x HTTP/1.1"), &["Host: x"]));
        add("a version", *byte, head(&format!("GET / HTTP/1{byte}1"), &["Host: x"]));
        add("a name", *byte, get(&[&format!("A{byte}B: c")]));
        add("a value", *byte, get(&[&format!("A: b{byte}c")]));
        add("a Host", *byte, head("GET / HTTP/1.1", &[&format!("Host: x{byte}y")]));
        add("a length", *byte, post(&[&format!("Content-Length: 3{byte}")], "abc"));
        add("a chunk size", *byte, chunked(&format!("3{byte}\r\nabc\r\n0\r\n\r\n")));
        add("a chunk extension", *byte, chunked(&format!("3;a{byte}b\r\nabc\r\n0\r\n\r\n")));
        add("a trailer", *byte, chunked(&format!("3\r\nabc\r\n0\r\nA: b{byte}c\r\n\r\n")));
    }
    // What RFC 9110 calls delimiters, which are no part of a token.
    for byte in "\"(),/;<=>?@[\\]{}".chars() {
        add("a method", byte, head(&format!("G{byte}T / HTTP/1.1"), &["Host: x"]));
        add("a name", byte, get(&[&format!("A{byte}B: c")]));
        add("a chunk size", byte, chunked(&format!("{byte}3\r\nabc\r\n0\r\n\r\n")));
        if byte != '[' {
            add("a length", byte, post(&[&format!("Content-Length: 3{byte}")], "abc"));
        }
    }
    cases
}

/// Unusual requests that are valid: a name, the request, and its body, which the server echoes.
pub(crate) fn unusual_but_valid() -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("an empty line before", "\r\n".to_owned() + &get(&[]), ""),
        ("two empty lines before", "\r\n\r\n".to_owned() + &get(&[]), ""),
        ("many empty lines before", "\r\n".repeat(600) + &get(&[]), ""),
        ("lines that end in LF", "GET / HTTP/1.1\nHost: x\n\n".into(), ""),
        ("a value with bytes over 0x7f", get(&["X: \u{e9}"]), ""),
        ("space around a length", post(&["Content-Length: \t 3 "], "abc"), "abc"),
        ("leading zeros in a length", post(&["Content-Length: 003"], "abc"), "abc"),
        (
            "Chunked in capitals",
            post(&["Transfer-Encoding: CHUNKED"], "3\r\nabc\r\n0\r\n\r\n"),
            "abc",
        ),
        ("capitals in a chunk size", chunked("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789"),
        ("leading zeros in a chunk size", chunked("0003\r\nabc\r\n000\r\n\r\n"), "abc"),
        ("chunk extensions", chunked("3;a=\"b c\";d\r\nabc\r\n0;e\r\n\r\n"), "abc"),
        ("trailers", chunked("3\r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n"), "abc"),
        (
            "many small chunks",
            chunked(&("1\r\nz\r\n".repeat(50) + "0\r\n\r\n")),
            &"zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"[..50],
        ),
        ("an empty Host", head("GET / HTTP/1.1", &["Host:"]), ""),
        ("a Host with a port", head("GET / HTTP/1.1", &["Host: [::1]:80"]), ""),
        ("a Host with an empty port", head("GET / HTTP/1.1", &["Host: x:"]), ""),
        ("a Host with an escape", head("GET / HTTP/1.1", &["Host: my_x%2d1!.~"]), ""),
        ("absolute form, IPv6", head("GET http://[::1]:8080?q HTTP/1.1", &["Host: x"]), ""),
        ("an asterisk with OPTIONS", head("OPTIONS * HTTP/1.1", &["Host: x"]), ""),
        ("absolute form", head("GET http://x/ HTTP/1.1", &["Host: x"]), ""),
        ("a path of two slashes", head("GET //x HTTP/1.1", &["Host: x"]), ""),
        ("a body with GET", get(&["Content-Length: 3"]) + "abc", "abc"),
    ]
}
