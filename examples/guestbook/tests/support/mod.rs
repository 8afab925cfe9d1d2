//! A guestbook as a process, and a visitor that speaks HTTP with it.

#![allow(dead_code, reason = "no test program uses all of this module")]

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The limit of every wait. Only a test that hangs reaches it.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(30);

pub(crate) const BOUNDARY: &str = "----guestbook";

/// A directory of its own, which is removed at the end.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new() -> Directory {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let (process, number) = (std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("squall-guestbook-{process}-{number}"));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left in /tmp does no harm
    }
}

/// The program as a process, on a port that the kernel chose. Dropping it kills the process.
pub(crate) struct Guestbook {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl Guestbook {
    /// Starts the program with its data in `directory`.
    pub(crate) fn start(directory: &Path, options: &[&str]) -> Guestbook {
        let mut child = command(directory)
            .args(["--posts-a-minute", "1000000"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect(&line).to_owned();
        Guestbook { child, address }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        stream.set_write_timeout(Some(WATCHDOG)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "", b"")
    }

    /// Sends a request on a connection of its own.
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(&request(method, target, fields, body)).unwrap();
        Answer::read(&mut stream).unwrap()
    }
}

impl Drop for Guestbook {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended
        let _ = self.child.wait();
    }
}

/// The program, with its data in `directory` and the port that the kernel chooses. A test runner may
/// ignore signals, and processes would inherit that. Only a write beyond a limit on a file's size is
/// to be an error, and not a signal.
fn command(directory: &Path) -> Command {
    let mut command = Command::new("env");
    command.args(["--default-signal", "--ignore-signal=XFSZ"]);
    command.arg(env!("CARGO_BIN_EXE_guestbook"));
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(directory);
    command
}

/// Runs the program where it should end by itself. One that does not is ended with the exit code 124.
pub(crate) fn run(directory: &Path, options: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg(WATCHDOG.as_secs().to_string()).arg(env!("CARGO_BIN_EXE_guestbook"));
    command.args(["--listen", "127.0.0.1:0", "--data"]).arg(directory).args(options);
    command.output().unwrap()
}

/// A request that ends its connection.
pub(crate) fn request(method: &str, target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\
         Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads to the end of the stream.
    pub(crate) fn read(stream: &mut TcpStream) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let no_response = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let body = bytes.split_off(end.ok_or_else(no_response)? + 4);
        let head = String::from_utf8(bytes).unwrap();
        let status = head[9..12].parse().unwrap();
        Ok(Answer { status, head, body })
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// The value of the field with this name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The messages of the entries on the page, as HTML.
    pub(crate) fn messages(&self) -> Vec<&str> {
        let begin = "<p class=\"message\" dir=\"auto\">";
        self.text().split(begin).skip(1).map(|rest| rest.split("</p>").next().unwrap()).collect()
    }

    /// The sentence beside a field, as HTML.
    pub(crate) fn problem(&self, field: &str) -> Option<&str> {
        between(self.text(), &format!("<p class=\"problem\" id=\"{field}-problem\">"), "</p>")
    }

    /// The value of an `input`, as HTML.
    pub(crate) fn value(&self, field: &str) -> Option<&str> {
        between(self.text(), &format!("name=\"{field}\" value=\""), "\"")
    }

    /// What the message's `textarea` holds, as HTML.
    pub(crate) fn textarea(&self) -> &str {
        let element = between(self.text(), "<textarea", "</textarea>").unwrap();
        element.split_once(">\n").unwrap().1
    }

    /// The address of the first picture.
    pub(crate) fn picture(&self) -> Option<&str> {
        between(self.text(), "<img src=\"", "\"")
    }
}

/// The text between the first `begin` and the next `end`.
fn between<'t>(text: &'t str, begin: &str, end: &str) -> Option<&'t str> {
    text.split_once(begin)?.1.split_once(end).map(|(found, _)| found)
}

/// A browser that has loaded the form.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) cookie: String,
    pub(crate) token: String,
    pub(crate) form_number: String,
}

impl Visitor {
    pub(crate) fn new(guestbook: &Guestbook) -> Visitor {
        let page = guestbook.get("/");
        let cookie = page.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let [token, form_number] =
            ["token", "form_number"].map(|field| page.value(field).unwrap().to_owned());
        Visitor { cookie, token, form_number }
    }

    /// Sends the form.
    pub(crate) fn post(
        &self,
        guestbook: &Guestbook,
        name: &str,
        message: &str,
        picture: &[u8],
    ) -> Answer {
        self.send(guestbook, &self.form(name, message, picture))
    }

    /// Sends a body.
    pub(crate) fn send(&self, guestbook: &Guestbook, body: &[u8]) -> Answer {
        guestbook.ask("POST", "/", &self.fields(), body)
    }

    /// The header fields of a form.
    pub(crate) fn fields(&self) -> String {
        let cookie = &self.cookie;
        format!("Cookie: {cookie}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n")
    }

    /// The body of a form.
    pub(crate) fn form(&self, name: &str, message: &str, picture: &[u8]) -> Vec<u8> {
        multipart(&[
            ("token", self.token.as_bytes()),
            ("form_number", self.form_number.as_bytes()),
            ("name", name.as_bytes()),
            ("message", message.as_bytes()),
            ("picture\"; filename=\"a.png", picture),
        ])
    }
}

/// A body with these parts.
pub(crate) fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let head =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// A PNG file of this many bytes, as far as its beginning tells.
pub(crate) fn picture(length: usize) -> Vec<u8> {
    let noise = (8..length).map(|n| (n * n / 7 % 251).to_le_bytes()[0]);
    b"\x89PNG\r\n\x1a\n".iter().copied().chain(noise).collect()
}

/// The names and lengths of the files in the directory of the pictures.
pub(crate) fn picture_files(directory: &Directory) -> Vec<(String, u64)> {
    let files = fs::read_dir(directory.0.join("pictures")).unwrap();
    // A file may be removed between the two calls.
    let file = |file: fs::DirEntry| {
        Some((file.file_name().into_string().unwrap(), file.metadata().ok()?.len()))
    };
    files.filter_map(|entry| file(entry.unwrap())).collect()
}

/// Waits until `condition` is true. Fails with `what` after [`WATCHDOG`].
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < WATCHDOG, "not so in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Prints a line that the test runner does not capture.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
