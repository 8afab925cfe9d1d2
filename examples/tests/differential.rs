//! The same requests to this server, to nginx and to Tornado: what the others both refuse, this
//! server must not accept.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use support::requests::{get, malformed, unusual_but_valid};
use support::{LocalServer, WATCHDOG, say};
use tiny_http::{Config, Request, Response};

/// Valid requests with one to three bytes changed, beside the written ones.
const MUTATED: u32 = 1500;
/// Clients at the same time. Most of them wait for an answer that does not come.
const THREADS: usize = 24;
/// The time for an answer.
const PATIENCE: Duration = Duration::from_millis(300);

const TORNADO: &str = "
import logging, sys, tornado.httpserver, tornado.ioloop
logging.disable()
def answer(request):
    request.connection.write_headers(
        tornado.httputil.ResponseStartLine('HTTP/1.1', 200, 'OK'),
        tornado.httputil.HTTPHeaders({'Content-Length': '2'}), b'ok')
    request.connection.finish()
tornado.httpserver.HTTPServer(answer).listen(int(sys.argv[1]), '127.0.0.1')
tornado.ioloop.IOLoop.current().start()
";

/// Another server, as a process. Dropping it ends the process.
struct Peer {
    child: Child,
    address: SocketAddr,
    directory: PathBuf,
}

impl Peer {
    /// Starts a server on a free port. Returns `None` if it is not installed.
    fn start(name: &str, command: impl Fn(u16, &PathBuf) -> Command) -> Option<Peer> {
        // Another process may take the port before the server does.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let directory = std::env::temp_dir().join(format!("squall-{name}-{port}"));
            fs::create_dir_all(&directory).unwrap();
            let mut command = command(port, &directory);
            let spawned =
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let Ok(child) = spawned else {
                say(&format!("skipped: {name} is not installed"));
                return None;
            };
            let mut peer = Peer { child, address, directory };
            if peer.starts() {
                return Some(peer);
            }
        }
        say(&format!("skipped: {name} does not start"));
        None
    }

    /// Waits until the server answers. Returns false if it ends before that.
    fn starts(&mut self) -> bool {
        let begin = Instant::now();
        let plain = get(&[]);
        while begin.elapsed() < WATCHDOG && self.child.try_wait().unwrap().is_none() {
            let listens = TcpStream::connect_timeout(&self.address, PATIENCE).is_ok();
            if listens && serves(self.address, plain.as_bytes(), PATIENCE) {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn nginx() -> Option<Peer> {
        Peer::start("nginx", |port, directory| {
            let of = |name: &str| directory.join(name).display().to_string();
            let config = format!(
                "daemon off; master_process off; error_log /dev/null; pid {}; events {{}}\n\
                 http {{ access_log off; client_body_temp_path {}; proxy_temp_path {};\n\
                 fastcgi_temp_path {}; uwsgi_temp_path {}; scgi_temp_path {};\n\
                 server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }} }}\n",
                of("pid"),
                of("a"),
                of("b"),
                of("c"),
                of("d"),
                of("e"),
            );
            fs::write(directory.join("nginx.conf"), config).unwrap();
            let mut command = Command::new("nginx");
            command.args(["-e", "/dev/null", "-c", &of("nginx.conf"), "-p", &of("")]);
            command
        })
    }

    fn tornado() -> Option<Peer> {
        Peer::start("tornado", |port, _| {
            let mut command = Command::new("/usr/bin/python3"); // with Debian's packages
            command.args(["-c", TORNADO, &port.to_string()]);
            command
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory); // what is left in /tmp does no harm
    }
}

/// Whether a server answers this request with 200 within `patience`. Some wait for more bytes.
fn serves(address: SocketAddr, request: &[u8], patience: Duration) -> bool {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(patience)).unwrap();
    let _ = client.write_all(request); // the server may close it early
    let mut answer = [0; 12];
    client.read_exact(&mut answer).is_ok() && answer.ends_with(b" 200")
}

/// Changes one to three bytes of a request's head. The same `number` gives the same result.
fn mutate(request: &[u8], number: u32) -> Vec<u8> {
    const BYTES: &[u8] = b" \t\r\n\0:;,/?#%@[]\"\\aZ09-_.\x0b\x7f\x80\xff";
    let mut random = u64::from(number) * 2 + 1;
    let mut draw = |below: usize| {
        // A linear congruential generator; Knuth's constants.
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    let mut mutated = request.to_vec();
    for _ in 0..=draw(3) {
        let (at, byte) = (draw(mutated.len()), BYTES[draw(BYTES.len())]);
        match draw(3) {
            0 => mutated[at] = byte,
            1 => mutated.insert(at, byte),
            _ => drop(mutated.remove(at)),
        }
    }
    mutated
}

// H1, H2, H3, H4, H6
#[test]
fn what_nginx_and_tornado_both_refuse_is_not_served() {
    let (Some(nginx), Some(tornado)) = (Peer::nginx(), Peer::tornado()) else { return };
    let config = Config {
        head_timeout: Duration::from_millis(200),
        body_timeout: Duration::from_millis(200),
        ..Config::default()
    };
    let server = LocalServer::start(config, async |request: &mut Request<'_>| {
        request.body().await?;
        Ok(Response::text("ok"))
    });
    let mut requests: Vec<Vec<u8>> =
        malformed().into_iter().map(|(_, _, request)| request.into_bytes()).collect();
    requests.extend(unusual_but_valid().into_iter().map(|(_, request, _)| request.into_bytes()));
    let plain = get(&["User-Agent: x y/1", "Accept: */*", "X-Z: 1, 2"]);
    requests.extend((0..MUTATED).map(|number| mutate(plain.as_bytes(), number)));
    // A negative chunk size puts Tornado 6.2 into an endless loop, and it would answer nothing more.
    requests.retain(|request| memchr::memmem::find(request, b"\r\n\r\n-").is_none());
    for request in &mut requests {
        // The empty line completes what a changed byte has left open.
        request.extend_from_slice(b"\r\n\r\n");
    }
    let compare = |request: &Vec<u8>| {
        let ours = serves(server.address, request, PATIENCE);
        let serve = |patience| {
            serves(nginx.address, request, patience) || serves(tornado.address, request, patience)
        };
        // Who is only late has not refused.
        (ours, serve(PATIENCE) || (ours && serve(WATCHDOG)))
    };
    let outcomes: Vec<(bool, bool)> = thread::scope(|scope| {
        let part = requests.len().div_ceil(THREADS);
        let threads: Vec<_> = requests
            .chunks(part)
            .map(|requests| scope.spawn(|| requests.iter().map(compare).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let count = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    say(&format!(
        "{} requests: {} served by all, {} by none, {} by nginx or Tornado only",
        outcomes.len(),
        count((true, true)),
        count((false, false)),
        count((false, true)),
    ));
    let alone = requests.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == (true, false));
    let alone: Vec<_> = alone.map(|(request, _)| String::from_utf8_lossy(request)).collect();
    assert!(alone.is_empty(), "{} are served by this server only: {alone:#?}", alone.len());
}
