//! A server in a process of its own: started here, and what that process does.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use rustix::net::sockopt::{set_tcp_congestion, set_tcp_nodelay};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_process, set_parent_process_death_signal,
    setrlimit,
};

use crate::cpu::{self, Used};
use crate::heap;
use crate::servers::Server;
use crate::service::{CONGESTION_CONTROL, Service};

/// What the server's process is told by its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order<'a> {
    pub(crate) server: &'a str,
    pub(crate) service: Service,
    pub(crate) counts_heap: bool,
    /// How many descriptors it may have, if not as many as the machine gives.
    pub(crate) descriptors: Option<u64>,
}

impl<'a> Order<'a> {
    pub(crate) fn new(server: &'a str, service: Service) -> Order<'a> {
        Order { server, service, counts_heap: false, descriptors: None }
    }
}

const SIGTERM: i32 = Signal::TERM.as_raw();

/// A server's process, seen from here. It ends when this is dropped.
pub(crate) struct Process {
    /// The server, or the tool that it runs under.
    child: Child,
    pid: u32,
    /// Each line is answered with the bytes of live heap.
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts a server, under a tool if `wrapper` names one with its arguments.
    pub(crate) fn start(order: Order<'_>, wrapper: &[String]) -> io::Result<Process> {
        let program = std::env::current_exe()?;
        let mut command = match wrapper {
            [] => Command::new(program),
            [tool, arguments @ ..] => {
                let mut command = Command::new(tool);
                command.args(arguments).arg(program);
                command
            }
        };
        command.args(["serve", order.server, order.service.name()]);
        if order.counts_heap {
            command.arg("--count-heap");
        }
        if let Some(limit) = order.descriptors {
            command.args(["--descriptors", &limit.to_string()]);
        }
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| {
                let tool = wrapper.first().map_or("the server", String::as_str);
                io::Error::new(error.kind(), format!("cannot start {tool}: {error}"))
            })?;
        let questions = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let nowhere = (Ipv4Addr::LOCALHOST, 0).into();
        let mut process = Process { pid: child.id(), child, questions, answers, address: nowhere };
        process.pid = process.number()?;
        let port = process.number()?;
        process.address.set_port(port);
        Ok(process)
    }

    /// Bytes of live heap.
    pub(crate) fn heap(&mut self) -> io::Result<i64> {
        self.questions.write_all(b"\n")?;
        self.number()
    }

    pub(crate) fn used(&self) -> io::Result<Used> {
        Used::by(self.pid())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    fn number<T: std::str::FromStr>(&mut self) -> io::Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().map_err(|_| {
            io::Error::other(format!("the server has said {line:?} instead of a number"))
        })
    }

    /// Ends the server, and waits for the tool that it runs under, which may still have something to write.
    pub(crate) fn end(mut self) -> io::Result<()> {
        use std::os::unix::process::ExitStatusExt;
        self.terminate();
        let status = self.child.wait()?;
        match status.signal() {
            Some(SIGTERM) => Ok(()),
            _ if status.code() == Some(128 + SIGTERM) => Ok(()), // a tool's way to say so
            _ => Err(io::Error::other(format!("the server has failed: {status}"))),
        }
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM)); // it may have failed by itself
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
        let _ = self.child.wait(); // it has been waited for if it ended in order
    }
}

/// The server's process: says who it is and its port, and serves until it is ended, with the one who has started it at the
/// latest. One thread, but for a second one that tells of the heap.
pub(crate) fn serve(server: &Server, order: Order<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let listener = listen()?;
    println!("{}\n{}", std::process::id(), listener.local_addr()?.port());
    if order.counts_heap {
        heap::count();
        thread::spawn(|| io::stdin().lines().for_each(|_| println!("{}", heap::live())));
    }
    if let Some(current) = order.descriptors {
        let limit = Rlimit { current: Some(current), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, limit)?;
    }
    cpu::pin(cpu::SERVER)?;
    (server.serve)(listener, order.service)
}

/// With the queue that the load needs; std's is 128. Accepted sockets inherit `TCP_NODELAY`, so that no server pays for it at each
/// connection, and the congestion control: one that paces, as BBR does, would be measured instead of the servers.
fn listen() -> io::Result<TcpListener> {
    use rustix::net::{self, AddressFamily, SocketType};
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    set_tcp_nodelay(&socket, true)?;
    set_tcp_congestion(&socket, CONGESTION_CONTROL)?;
    net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    net::listen(&socket, 4096)?;
    Ok(socket.into())
}
