//! Processes that a test starts, and ends also if it panics.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{WATCHDOG, kill, program, say, with_default_signals};

/// A process. Dropping it kills it.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a command without input. Returns `None` and prints a line if it is not installed.
    pub(crate) fn start(command: &mut Command) -> Option<Process> {
        match command.stdin(Stdio::null()).spawn() {
            Ok(child) => Some(Process(child)),
            Err(error) => {
                say(&format!("skipped: {}: {error}", command.get_program().display()));
                None
            }
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        kill(&self.0, name);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits until the process has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("a process has ended", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.expect("it was waited for")
    }
}

impl From<Child> for Process {
    fn from(child: Child) -> Process {
        Process(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

/// The program `http_server` as one process or, with `--processes`, as several.
pub(crate) struct HttpServer {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl HttpServer {
    /// Starts the program on `address`, and returns when it listens.
    pub(crate) fn start(address: SocketAddr, processes: usize) -> HttpServer {
        let mut command = with_default_signals(program());
        command.args(["--listen", &address.to_string(), "--processes", &processes.to_string()]);
        let mut process = Process::start(command.stdout(Stdio::piped())).expect("cargo builds it");
        let mut line = String::new();
        let output = process.0.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), format!("listening on http://{address}"));
        HttpServer { process, address }
    }

    /// Replaces all workers one by one, and waits for the end of the last former worker.
    pub(crate) fn replace_workers(&self) {
        let former = children(self.process.id());
        assert!(!former.is_empty());
        self.process.signal("HUP");
        wait_until("all workers are replaced", || {
            let now = children(self.process.id());
            now.len() == former.len() && now.iter().all(|pid| !former.contains(pid))
        });
    }

    /// Ends the program in order, and starts it again on the same address.
    pub(crate) fn restart(&mut self, processes: usize) {
        self.process.signal("TERM");
        assert!(self.process.wait().success());
        *self = HttpServer::start(self.address, processes);
    }
}

/// Returns the children of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// The path of an example, which cargo builds before it runs the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    program().with_file_name(name)
}

/// A file of `examples/deploy`.
pub(crate) fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// A directory that is removed when it is dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// Makes a directory. `number` must be unique among those of this name, such as a port.
    pub(crate) fn new(name: &str, number: u16) -> Directory {
        let path = std::env::temp_dir().join(format!("squall-{name}-{number}"));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // what is left in the temporary directory does no harm
    }
}

/// Returns addresses of this host on which nothing listens, all different.
pub(crate) fn free_addresses<const N: usize>() -> [SocketAddr; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// Whether the kernel has a TCP socket with this local address in this state: `0A` listens, `01` is
/// an open connection. Does not connect, which a program could notice.
pub(crate) fn has_socket(address: SocketAddr, state: &str) -> bool {
    let local = format!("0100007F:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().take(4).collect(); // number, local, remote, state
        fields[1] == local && fields[3] == state
    })
}

/// Waits until something listens on `address`.
pub(crate) fn wait_for(address: SocketAddr) {
    wait_until("something listens", || has_socket(address, "0A"));
}

/// Waits until `holds` returns true. Fails with `what` after [`WATCHDOG`].
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < WATCHDOG, "not so in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends `GET /` on a new connection and returns the whole response.
pub(crate) fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(WATCHDOG))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}
