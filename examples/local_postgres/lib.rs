//! A PostgreSQL server of a test's own: on a directory and a port that no other program uses, stopped
//! at the end.
//!
//! ```no_run
//! use squall_local_postgres::Postgres;
//!
//! let Some(postgres) = Postgres::start() else { return };
//! println!("psql {}", postgres.address());
//! assert_eq!(postgres.query("SELECT 6 * 7"), "42");
//! ```

#![allow(
    clippy::missing_panics_doc,
    reason = "all functions panic if the server does not do as it is told"
)]

use std::fs;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub use rustix::process::Signal;
use rustix::process::{Pid, getuid, kill_process};

/// The limit of every wait.
const WATCHDOG: Duration = Duration::from_secs(60);

/// A PostgreSQL server in a directory of its own, on a port of 127.0.0.1. Dropping it ends the
/// server, also when the test panics.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    port: u16,
    /// The user and group that run the server, because it refuses to run as root. `None` if the test
    /// itself is not run by root.
    user: Option<(u32, u32)>,
    server: Option<Child>,
    /// Dropped after the server has ended.
    directory: Directory,
}

/// A directory of the server's own, which is removed at the end.
#[derive(Debug)]
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let (process, number) = (std::process::id(), LAST.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("squall-postgres-{process}-{number}"));
        fs::create_dir(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left in a temporary directory does no harm
    }
}

impl Postgres {
    /// Makes a database and starts its server. If PostgreSQL is not installed, prints a line to
    /// standard error and returns `None`.
    ///
    /// # Panics
    /// If the server does not start. The other functions panic too if it does not do as it is told,
    /// because this is for tests.
    pub fn start() -> Option<Postgres> {
        let (Some(programs), Some(user)) = (programs(), user()) else {
            // Not by `eprintln`, which the test runner captures.
            let _ = writeln!(io::stderr(), "skipped: PostgreSQL is not installed");
            return None;
        };
        let directory = Directory::new();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        if let Some((user, group)) = user {
            chown(&directory.0, Some(user), Some(group)).unwrap();
        }
        let mut postgres = Postgres { programs, port, user, server: None, directory };
        let options = ["--auth=trust", "--username=guest", "--no-sync", "--encoding=UTF8"];
        let made = postgres.command("initdb").args(options).arg(postgres.data()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        postgres.resume();
        Some(postgres)
    }

    /// The address of the database over TCP.
    pub fn address(&self) -> String {
        format!("postgres://guest@127.0.0.1:{}/postgres", self.port)
    }

    /// The address of the database over the Unix socket.
    pub fn unix_address(&self) -> String {
        let directory = self.directory.0.to_str().unwrap().replace('/', "%2F");
        format!("postgres://guest@{directory}:{}/postgres", self.port)
    }

    /// Starts the server, and waits until it accepts connections.
    pub fn resume(&mut self) {
        let sockets = self.directory.0.clone();
        self.resume_at("127.0.0.1", &sockets);
    }

    /// Starts the server where only the test finds it, runs a statement, and stops it.
    pub fn query_in_hiding(&mut self, statement: &str) {
        let hidden = self.data();
        self.resume_at("", &hidden);
        let host = hidden.to_str().unwrap().replace('/', "%2F");
        let output =
            self.psql(&format!("postgres://guest@{host}:{}/postgres", self.port), statement);
        assert!(output.status.success(), "{output:?}");
        self.stop(Signal::INT);
    }

    /// Starts the server on a TCP address, if it is not empty, and on a Unix socket in `sockets`.
    fn resume_at(&mut self, address: &str, sockets: &Path) {
        let port = self.port.to_string();
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &port, "-c", "fsync=off", "-c"]);
        command.arg(format!("listen_addresses={address}")).arg("-k").arg(sockets);
        let server = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.server = Some(server);
        wait_until("the database accepts connections", || {
            let server = self.server.as_mut().expect("it was started");
            assert!(server.try_wait().unwrap().is_none(), "the server has ended at once");
            let mut ready = self.command("pg_isready");
            ready.arg("-h").arg(sockets).args(["-p", &port, "-q"]).status().unwrap().success()
        });
    }

    /// Stops the server: `Signal::INT` ends its connections in order, and `Signal::QUIT` at once.
    pub fn stop(&mut self, signal: Signal) {
        let server = self.server.as_mut().expect("the server runs");
        kill_process(Pid::from_child(server), signal).unwrap();
        wait_until("the server ends", || server.try_wait().unwrap().is_some());
        self.server = None;
    }

    /// Runs a statement and returns what it selects, a row a line.
    pub fn query(&self, statement: &str) -> String {
        let output = self.psql(&self.address(), statement);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Runs a statement that the server is to interrupt.
    pub fn query_that_fails(&self, statement: &str) {
        assert!(!self.psql(&self.address(), statement).status.success(), "{statement}");
    }

    /// Opens a session that reads statements from its standard input.
    pub fn session(&self) -> Child {
        let mut psql = self.command("psql");
        psql.args(["--no-psqlrc", "-qAt", &self.address()]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn psql(&self, address: &str, statement: &str) -> Output {
        let mut psql = self.command("psql");
        psql.args(["--no-psqlrc", "-qAt", "-c", statement, address]).output().unwrap()
    }

    fn data(&self) -> PathBuf {
        self.directory.0.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.directory.0).stdin(Stdio::null()).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            // It ends its connections without waiting for them.
            let _ = kill_process(Pid::from_child(server), Signal::QUIT);
            let _ = server.wait();
        }
    }
}

/// The directory with PostgreSQL's programs: of the newest version, or that of the search path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.filter_map(io::Result::ok).map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let has_all = |directory: &PathBuf| {
        ["initdb", "postgres", "pg_isready", "psql"]
            .iter()
            .all(|name| directory.join(name).exists())
    };
    versions.filter(has_all).max().or_else(|| in_path.into_iter().find(has_all))
}

/// The user to run the server as: `Some(None)` for this test's own. `None` if that is root, and there
/// is no user `postgres`.
#[allow(clippy::option_option, reason = "the outer one is whether the test can run")]
fn user() -> Option<Option<(u32, u32)>> {
    if !getuid().is_root() {
        return Some(None);
    }
    let users = fs::read_to_string(Path::new("/etc/passwd")).ok()?;
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut numbers = line.split(':').skip(2).map(str::parse);
    Some(Some((numbers.next()?.ok()?, numbers.next()?.ok()?)))
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < WATCHDOG, "not so in time: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
