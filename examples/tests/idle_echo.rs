//! Nineteen thousand idle connections of an echo server: their memory, and the CPU time and waits
//! that they cost.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use squall_net::{IoStream, TcpServer, block_on, sleep, stats};

const CONNECTIONS: usize = 19_000;
const WATCHDOG: Duration = Duration::from_secs(60);
const WINDOW: Duration = Duration::from_secs(10);
/// The most bytes that a connection may use in the server's heap: a task, a stream and its
/// registration.
const BYTES_EACH: usize = 700;

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

#[allow(unsafe_code, reason = "an allocator that counts")]
// SAFETY: every call goes unchanged to the system's allocator, which satisfies the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller meets the contract of `alloc`, which is that of `System.alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller meets the contract of `dealloc`, and `System` allocated `memory`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// The CPU time that this process has used, in ticks of 10 ms.
fn cpu_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// A Python process that holds the client ends. Half of the clients have sent one message.
struct Clients(Child);

impl Clients {
    fn start(port: u16) -> Option<Clients> {
        let script = format!(
            "import socket, sys\n\
             held = []\n\
             for n in range({CONNECTIONS}):\n\
             \x20   source = (f'127.0.0.{{1 + n % 4}}', 0)  # one address has only 28,000 ports\n\
             \x20   held.append(socket.create_connection(('127.0.0.1', {port}), source_address=source))\n\
             \x20   if n % 2:\n\
             \x20       held[-1].sendall(b'hello')\n\
             sys.stdin.read()\n"
        );
        let mut command = Command::new("python3");
        let child = command.args(["-c", &script]).stdin(Stdio::piped()).spawn().ok()?;
        Some(Clients(child))
    }

    /// Closes the process's input, at which the process ends, and waits for it.
    fn end(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

// I9
#[test]
fn idle_echo_connections_cost_little_memory_and_no_time() {
    let needed = CONNECTIONS as u64 + 100;
    if !support::may_open(needed) {
        return;
    }
    block_on(async {
        let server = TcpServer::new(async |mut stream: IoStream, _peer| {
            let (reader, writer) = stream.halves();
            while reader.fill().await? > 0 {
                writer.write_all(reader.buffer()).await?;
                reader.consume(reader.buffer().len());
            }
            Ok(())
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let before = LIVE.load(Ordering::Relaxed);
        let Some(mut clients) = Clients::start(address.port()) else {
            return say("skipped: python3 is not installed");
        };
        let begin = Instant::now();
        while server.connections() < CONNECTIONS || stats().polls < CONNECTIONS as u64 * 3 / 2 {
            assert!(begin.elapsed() < WATCHDOG, "{server:?}");
            sleep(Duration::from_millis(5)).await;
        }
        sleep(Duration::from_millis(200)).await;
        let each = (LIVE.load(Ordering::Relaxed) - before) / CONNECTIONS;
        let (ticks, waits, begin) = (cpu_ticks(), stats().waits, Instant::now());
        sleep(WINDOW).await;
        let (ticks, waits) = (cpu_ticks() - ticks, stats().waits - waits);
        say(&format!(
            "{CONNECTIONS} idle echo connections: {each} bytes of live heap each, {} ms of CPU and {waits} waits in {:?}",
            ticks * 10,
            begin.elapsed()
        ));
        assert!(each <= BYTES_EACH, "{each} bytes each");
        assert!(waits <= 2, "{waits} waits");
        clients.end();
    });
}
