//! PostgreSQL and Redis, started for these tests on a temporary directory and a free port.
//!
//! All tests that run at the same time share one server of each kind. The last test stops it, also if
//! that test panics.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use std::{env, process, thread};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// The limit of every wait for a server.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs. Dropping it ends its process, and then removes its directory.
pub(crate) struct LocalServer {
    pub(crate) address: SocketAddr,
    _process: Process,
    _directory: Directory,
}

/// Returns a PostgreSQL server with a database and a superuser `postgres`, who needs no password. If it
/// is not installed, prints a line and returns `None`.
pub(crate) fn postgres() -> Option<Arc<LocalServer>> {
    static RUNNING: Running = Running::new();
    let (Some(initdb), Some(postgres)) = (program("initdb"), program("postgres")) else {
        say("skipped: no postgres is installed");
        return None;
    };
    Some(RUNNING.share(|| {
        let directory = Directory::new("postgres");
        let data = directory.path.join("data");
        let mut command = directory.command(&initdb);
        command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]);
        let made = command.arg("-D").arg(&data).output().expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        LocalServer::start(directory, "database system is ready to accept", |directory, port| {
            let mut command = directory.command(&postgres);
            command.arg("-D").arg(&data).arg("-k").arg(&directory.path);
            command.args(["-h", "127.0.0.1", "-F", "-p"]).arg(port.to_string());
            command
        })
    }))
}

/// Returns a Redis server without data. If it is not installed, prints a line and returns `None`.
pub(crate) fn redis() -> Option<Arc<LocalServer>> {
    static RUNNING: Running = Running::new();
    let Some(redis) = program("redis-server") else {
        say("skipped: no redis-server is installed");
        return None;
    };
    Some(RUNNING.share(|| {
        LocalServer::start(
            Directory::new("redis"),
            "Ready to accept connections",
            |directory, port| {
                let mut command = directory.command(&redis);
                command.args(["--bind", "127.0.0.1", "--save", "", "--port"]).arg(port.to_string());
                command
            },
        )
    }))
}

/// Prints a line that the test runner does not capture.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The path of a program. Debian keeps PostgreSQL's in folders of their versions.
fn program(name: &str) -> Option<PathBuf> {
    let mut versions: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    let paths = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&paths).chain(versions.into_iter().rev());
    folders.map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// The server that the running tests share, if one runs.
struct Running(Mutex<Weak<LocalServer>>);

impl Running {
    const fn new() -> Running {
        Running(Mutex::new(Weak::new()))
    }

    fn share(&self, start: impl FnOnce() -> LocalServer) -> Arc<LocalServer> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let server = Arc::new(start());
            *running = Arc::downgrade(&server);
            server
        })
    }
}

impl LocalServer {
    /// Starts a server, and returns when it has written a line with `ready_mark`. Tries again if
    /// another program has taken the port.
    fn start(
        directory: Directory,
        ready_mark: &str,
        command: impl Fn(&Directory, u16) -> Command,
    ) -> LocalServer {
        for _ in 0..3 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = free.local_addr().expect("a bound socket has an address");
            drop(free);
            let mut process = Process::start(command(&directory, address.port()));
            if process.wait_for(ready_mark) {
                return LocalServer { address, _process: process, _directory: directory };
            }
        }
        panic!("the server has not started: {}", directory.path.display());
    }
}

/// A server's process. Dropping it ends the process.
struct Process {
    child: Child,
    /// The lines of its log. Disconnected when the process and its children have ended. In a mutex
    /// only because the tests share the server.
    log: Mutex<Receiver<String>>,
}

impl Process {
    fn start(mut command: Command) -> Process {
        let (reader, writer) = io::pipe().expect("a pipe");
        command.stdout(writer.try_clone().expect("a descriptor")).stderr(writer);
        let child = command.spawn().expect("the server runs");
        drop(command); // else its copies of the pipe's writing end hold the log open
        Process { child, log: Mutex::new(lines_of(reader)) }
    }

    /// Waits for a line with `mark`. Returns false if the process has ended without one.
    fn wait_for(&mut self, mark: &str) -> bool {
        let log = self.log.get_mut().expect("no test holds it");
        let mut lines = Vec::new();
        loop {
            match log.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(mark) => return true,
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => {
                    say(&format!("a server has ended: {lines:#?}"));
                    return false;
                }
                Err(RecvTimeoutError::Timeout) => panic!("the server is not ready: {lines:#?}"),
            }
        }
    }
}

/// Reads the log in a thread of its own, so that the server never waits for a reader.
fn lines_of(log: PipeReader) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let _ = sender.send(line); // the test may have ended
        }
    });
    lines
}

impl Drop for Process {
    /// Ends the server: both kinds take `SIGINT` as a fast and orderly shutdown.
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.child);
        let _ = kill_process(pid, Signal::INT); // it may have ended
        let log = self.log.get_mut().unwrap_or_else(PoisonError::into_inner);
        loop {
            match log.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.child.kill();
                    break;
                }
            }
        }
        let _ = self.child.wait();
    }
}

/// A temporary directory of the user that runs a server. Dropping it removes it.
struct Directory {
    path: PathBuf,
    user: Option<User>,
}

/// The ids of a user and its group.
#[derive(Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl Directory {
    fn new(name: &str) -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("squall-{name}-{}-{count}", process::id()));
        DirBuilder::new().mode(0o700).create(&path).expect("a temporary directory");
        let user = unprivileged_user();
        if let Some(User { uid, gid }) = user {
            chown(&path, Some(uid), Some(gid)).expect("root may give a directory away");
        }
        Directory { path, user }
    }

    /// A command of the directory's user, in that directory.
    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.path).env("LC_ALL", "C");
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path); // a rest in the temporary directory does no harm
    }
}

/// The user that runs the servers if the tests run as root, because PostgreSQL refuses root.
fn unprivileged_user() -> Option<User> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string(Path::new("/etc/passwd")).expect("a list of users");
    let ids = |name: &str| {
        let fields: Vec<_> =
            users.lines().find(|line| line.starts_with(name))?.split(':').collect();
        Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
    };
    Some(ids("postgres:").or_else(|| ids("nobody:")).expect("a user who is not root"))
}
