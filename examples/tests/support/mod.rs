//! Servers to test: a `tiny_http` server on its own thread, or `http_server` as a process.

#![allow(dead_code, reason = "no test program uses all of this module")]

pub(crate) mod requests;

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Resource, getrlimit, setrlimit};
use squall_net::{EventLoop, Handle, Stats};
use tiny_http::{Config, HandlerResult, HttpServer, Request, RequestHandler};

/// The limit of every wait. Only a test that hangs reaches it.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(20);

/// A server that runs on its own thread and loop. Dropping it drains the server.
pub(crate) struct LocalServer {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    thread: Option<JoinHandle<(Stats, squall_net::DrainReport)>>,
}

impl LocalServer {
    pub(crate) fn start<A>(config: Config, app: A) -> LocalServer
    where
        A: AsyncFn(&mut Request<'_>) -> HandlerResult + Send + 'static,
    {
        LocalServer::start_handler(config, || app)
    }

    /// As [`start`](Self::start), with a handler that `make` makes on the server's thread.
    pub(crate) fn start_handler<H: RequestHandler + 'static>(
        config: Config,
        make: impl FnOnce() -> H + Send + 'static,
    ) -> LocalServer {
        LocalServer::start_on(|| EventLoop::new().unwrap(), config, make)
    }

    /// As [`start_handler`](Self::start_handler), on a loop that `make_loop` makes on that thread.
    pub(crate) fn start_on<H: RequestHandler + 'static>(
        make_loop: impl FnOnce() -> EventLoop + Send + 'static,
        config: Config,
        make: impl FnOnce() -> H + Send + 'static,
    ) -> LocalServer {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            let event_loop = make_loop();
            let server = HttpServer::new(config, make());
            let entered = event_loop.enter();
            let address = server.listen("127.0.0.1:0").unwrap();
            drop(entered);
            sender.send((address, event_loop.handle())).unwrap();
            event_loop.run().unwrap();
            let report = event_loop.block_on(server.shut_down(Duration::from_secs(5)));
            event_loop.block_on(squall_net::sleep(Duration::ZERO));
            (event_loop.stats(), report)
        });
        let (address, handle) = receiver.recv().unwrap();
        LocalServer { address, handle, thread: Some(thread) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The counters of the server's loop.
    pub(crate) fn stats(&self) -> Stats {
        self.run_on_loop(squall_net::stats)
    }

    /// Runs `call` on the server's thread and returns its result.
    pub(crate) fn run_on_loop<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        self.handle.add_callback(move || drop(sender.send(call()))).unwrap();
        receiver.recv_timeout(WATCHDOG).expect("the loop does not run the callback")
    }

    /// Waits until the loop's counters satisfy `condition`. Fails with `what` after [`WATCHDOG`].
    pub(crate) fn wait_until(&self, what: &str, mut condition: impl FnMut(Stats) -> bool) -> Stats {
        let begin = std::time::Instant::now();
        loop {
            let stats = self.stats();
            if condition(stats) {
                return stats;
            }
            assert!(begin.elapsed() < WATCHDOG, "not so in time: {what}: {stats:?}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn stop(mut self) -> (Stats, squall_net::DrainReport) {
        self.handle.stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server panicked");
        }
    }
}

/// A blocking client that sends and receives raw bytes.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(WATCHDOG)).unwrap();
        stream.set_write_timeout(Some(WATCHDOG)).unwrap();
        Client(stream)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client {
        self.0.write_all(bytes.as_ref()).unwrap();
        self
    }

    /// Ends the sending half: the server reads the end of the stream.
    pub(crate) fn end(&mut self) -> &mut Client {
        let _ = self.0.shutdown(std::net::Shutdown::Write); // the peer may have reset it
        self
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        set_socket_linger(&self.0, Some(Duration::ZERO)).unwrap();
    }

    /// Reads to the end of the stream. Fails if the stream does not end.
    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).expect("the stream must end without an error");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads one response. Returns its head and its body, which is empty without a Content-Length.
    pub(crate) fn answer(&mut self) -> (String, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).expect("the head of a response");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        (head, String::from_utf8(body).unwrap())
    }
}

/// The path of the program `http_server`, which cargo builds before it runs the tests.
pub(crate) fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop(); // removes the test's name
    path.pop(); // removes `deps`
    path.join("examples/http_server")
}

/// The program `http_server` as a process, on a port that the kernel chose. Dropping it kills the
/// process.
pub(crate) struct ServerProcess {
    pub(crate) child: Child,
    pub(crate) address: String,
}

impl ServerProcess {
    pub(crate) fn start(options: &[&str]) -> ServerProcess {
        ServerProcess::start_with(|command| command.args(options))
    }

    /// Starts the program after `adjust` has changed its command.
    pub(crate) fn start_with(adjust: impl FnOnce(&mut Command) -> &mut Command) -> ServerProcess {
        let mut command = with_default_signals(program());
        command.args(["--listen", "127.0.0.1:0"]);
        let mut child = adjust(&mut command)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program is built by a plain `cargo test` or `cargo build --examples`");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").expect(&line).to_owned();
        ServerProcess { child, address }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address.parse().unwrap())
    }

    /// The value of the counter `name` in the response to `GET /stats`.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        let (_, json) = self
            .client()
            .send("GET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .answer();
        let at = json.find(&format!("\"{name}\":")).expect(&json) + name.len() + 3;
        let digits: String = json[at..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        kill(&self.child, name);
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// A command whose program starts with the default action for every signal. Under `nohup` or a
/// shell's `&`, the test ignores some signals, and its child processes would inherit that.
pub(crate) fn with_default_signals(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(program);
    command
}

/// Sends a signal to a child of this test.
pub(crate) fn kill(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// Runs a program and returns its output. If the program is not installed, prints a line and
/// returns `None`.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(name).args(arguments).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name} {arguments:?}: {text}{errors}");
            Some(text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            say(&format!("skipped: {name} is not installed"));
            None
        }
        Err(error) => panic!("{name}: {error}"),
    }
}

/// Raises the limit on open descriptors. If the machine allows fewer than `needed`, prints a line
/// and returns false.
pub(crate) fn may_open(needed: u64) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // if this fails, the limit stays as it was
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed < needed {
        say(&format!("skipped: {needed} descriptors are needed, the limit is {allowed}"));
    }
    allowed >= needed
}

/// Prints a line that the test runner does not capture.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
