//! Follows docs/tutorial.md: makes the package, writes its files, runs its commands and has its
//! dialogues.
//!
//! It differs from the page in this: `squall-net` is the one of this tree, the lock file is this
//! workspace's, builds are debug builds, ports are free ones, and nothing is installed.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PAGE: &str = include_str!("../tutorial.md");
const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const WATCHDOG: Duration = Duration::from_secs(20);

/// What the page tells the reader to do.
#[derive(Debug)]
enum Part {
    /// Write a file.
    File(String, String),
    /// Run a command.
    Command(String),
    /// Start the server, send the lines that begin with `> `, and receive the others.
    Dialogue(Vec<String>),
}

/// Returns the parts of the page in order. A file is a block below a line with its name in
/// backquotes.
fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut lines = page.lines();
    let mut name = None;
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            if !line.is_empty() {
                name = line.strip_prefix('`').and_then(|line| line.strip_suffix("`:"));
            }
            continue;
        };
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        match (name.take(), language) {
            (Some(name), _) => parts.push(Part::File(name.to_owned(), block.join("\n") + "\n")),
            (None, "sh") => {
                parts.extend(block.iter().map(|line| Part::Command((*line).to_owned())))
            }
            (None, "text") => {
                assert!(block[0].starts_with("nc "), "{block:?}");
                parts.push(Part::Dialogue(
                    block[1..].iter().map(|line| (*line).to_owned()).collect(),
                ));
            }
            (None, _) => {
                panic!("a block that is neither a file, nor commands, nor a dialogue: {block:?}")
            }
        }
    }
    parts
}

/// Does what the page says.
struct Reader {
    /// The directory in which the page begins.
    directory: PathBuf,
    /// The target directory of this test's build, so that dependencies are compiled once.
    target: PathBuf,
    /// The server that waits for its first client, if the last command has started one.
    activated: Option<Server>,
}

impl Reader {
    fn new() -> Reader {
        let directory =
            std::env::temp_dir().join(format!("squall-tutorial-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let test = std::env::current_exe().unwrap(); // in target/debug/deps
        let target = test.ancestors().nth(3).expect("the target directory").to_owned();
        Reader { directory, target, activated: None }
    }

    fn package(&self) -> PathBuf {
        self.directory.join("kv")
    }

    fn follow(&mut self, part: Part) {
        match part {
            Part::File(name, text) => self.write(&name, &text),
            Part::Command(command) => self.run(&command),
            Part::Dialogue(lines) => {
                let server = self.activated.take().unwrap_or_else(|| self.start());
                converse(server.address, &lines);
            }
        }
    }

    fn write(&self, name: &str, text: &str) {
        let path = format!("path = {:?}", Path::new(WORKSPACE).join("crates/net"));
        let text = match name {
            "Cargo.toml" => text
                .replace("version = \"0.1\"", &path)
                .replace("\"0.1\"", &format!("{{ {path} }}")),
            _ => text.to_owned(),
        };
        let path = self.package().join(name);
        fs::create_dir_all(path.parent().expect("it is in the package")).unwrap();
        fs::write(path, text).unwrap();
        if name == "Cargo.toml" {
            let lock = Path::new(WORKSPACE).join("Cargo.lock");
            fs::copy(lock, self.package().join("Cargo.lock")).unwrap();
        }
    }

    fn run(&mut self, command: &str) {
        match command.split(' ').collect::<Vec<_>>()[..] {
            ["cargo", "new", name] => self.cargo(&self.directory, &["new", name]),
            ["cargo", "test"] => self.cargo(&self.package(), &["test"]),
            ["cargo", "build", "--release"] => self.cargo(&self.package(), &["build"]),
            ["systemd-socket-activate", "--listen", _, "target/release/kv"] => {
                self.activated = self.activate();
            }
            ["sudo", "install", "--mode", "644", ..] => self.verify_units(),
            ["sudo", ..] => {}
            _ => panic!("the test does not know how to do {command:?}"),
        }
    }

    fn cargo(&self, directory: &Path, arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(directory).env("CARGO_TARGET_DIR", &self.target);
        let output = command.output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "cargo {arguments:?}: {}{errors}",
            String::from_utf8_lossy(&output.stdout)
        );
    }

    /// Does `cargo run` and returns the server when it listens.
    fn start(&self) -> Server {
        self.cargo(&self.package(), &["build"]);
        let mut command = with_default_signals(&self.program());
        let mut child = command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect(&line).parse().unwrap();
        Server { child, address, drains: false }
    }

    fn program(&self) -> PathBuf {
        self.target.join("debug/kv")
    }

    /// Returns `None` if systemd's program is not installed.
    fn activate(&self) -> Option<Server> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = with_default_signals(Path::new("systemd-socket-activate"));
        command.args(["--listen", &address.to_string()]).arg(self.program());
        if Command::new("systemd-socket-activate").arg("--version").output().is_err() {
            say("skipped: systemd-socket-activate is not installed");
            return None;
        }
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Some(Server { child, address, drains: true })
    }

    /// Lets systemd check the units, with the path of the program that was built.
    fn verify_units(&self) {
        let directory = self.directory.join("units");
        fs::create_dir_all(&directory).unwrap();
        for name in ["kv.socket", "kv.service"] {
            let text = fs::read_to_string(self.package().join(name)).unwrap();
            let program = self.program().display().to_string();
            fs::write(directory.join(name), text.replace("/usr/local/bin/kv", &program)).unwrap();
        }
        let mut command = Command::new("systemd-analyze");
        match command
            .arg("verify")
            .args([directory.join("kv.service"), directory.join("kv.socket")])
            .output()
        {
            Ok(output) => {
                assert!(output.status.success() && output.stderr.is_empty(), "{output:?}")
            }
            Err(_) => say("skipped: systemd-analyze is not installed"),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory); // what is left in the temporary directory does no harm
    }
}

/// A running server. Dropping it ends it.
struct Server {
    child: Child,
    address: SocketAddr,
    /// Whether it ends in order at `SIGTERM`.
    drains: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        let begin = Instant::now();
        while told.is_ok() && begin.elapsed() < WATCHDOG {
            if let Ok(Some(status)) = self.child.try_wait() {
                assert!(!self.drains || status.success() || thread::panicking(), "{status}");
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// Sends the lines after `> `, and compares what comes with the others.
fn converse(address: SocketAddr, lines: &[String]) {
    let begin = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) => assert!(begin.elapsed() < WATCHDOG, "{error}"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    stream.set_read_timeout(Some(WATCHDOG)).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    for line in lines {
        match line.strip_prefix("> ") {
            Some(typed) => writeln!(stream, "{typed}").unwrap(),
            None => {
                let mut answer = String::new();
                answers.read_line(&mut answer).unwrap();
                assert_eq!(answer.trim_end(), line, "in {lines:?}");
            }
        }
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    answers.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "in {lines:?}");
}

/// A command whose program starts with the default action for every signal.
fn with_default_signals(program: &Path) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(program);
    command
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[test]
fn the_tutorial_can_be_followed_to_the_letter() {
    let mut reader = Reader::new();
    let parts = parts(PAGE);
    assert!(parts.iter().filter(|part| matches!(part, Part::File(..))).count() > 8, "{parts:?}");
    parts.into_iter().for_each(|part| reader.follow(part));
    reader.cargo(&reader.package(), &["fmt", "--check"]);
    reader
        .cargo(&reader.package(), &["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]);
}
