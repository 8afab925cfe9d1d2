//! A server in a process of its own: how it is started and controlled, and what it runs.

use std::fs;
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
use crate::directory::Directory;
use crate::heap;
use crate::servers::Server;
use crate::service::{CONGESTION_CONTROL, FILE, FILE_NAME, Service};

/// The arguments of a server process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerArgs<'a> {
    pub(crate) server: &'a str,
    pub(crate) service: Service,
    pub(crate) counts_heap: bool,
    /// The descriptor limit of the server. `None` means the maximum of the machine.
    pub(crate) descriptors: Option<u64>,
}

impl<'a> ServerArgs<'a> {
    pub(crate) fn new(server: &'a str, service: Service) -> ServerArgs<'a> {
        ServerArgs { server, service, counts_heap: false, descriptors: None }
    }
}

const SIGTERM: i32 = Signal::TERM.as_raw();

/// A running server process. Dropping this ends the process.
pub(crate) struct Process {
    /// The server, or the tool that it runs under.
    child: Child,
    pid: u32,
    /// The server answers each line with its bytes of live heap.
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// The working directory of the server.
    _directory: Directory,
}

impl Process {
    /// Starts a server, under a tool if `wrapper` names one with its arguments.
    pub(crate) fn start(args: ServerArgs<'_>, wrapper: &[String]) -> io::Result<Process> {
        let directory = Directory::new()?;
        let program = std::env::current_exe()?;
        let mut command = match wrapper {
            [] => Command::new(program),
            [tool, arguments @ ..] => {
                let mut command = Command::new(tool);
                command.args(arguments).arg(program);
                command
            }
        };
        command.args(["serve", args.server, args.service.name()]);
        if args.counts_heap {
            command.arg("--count-heap");
        }
        if let Some(limit) = args.descriptors {
            command.args(["--descriptors", &limit.to_string()]);
        }
        command.current_dir(directory.path());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| {
                let tool = wrapper.first().map_or("the server", String::as_str);
                io::Error::new(error.kind(), format!("cannot start {tool}: {error}"))
            })?;
        let questions = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let nowhere = (Ipv4Addr::LOCALHOST, 0).into();
        let mut process = Process {
            pid: child.id(),
            child,
            questions,
            answers,
            address: nowhere,
            _directory: directory,
        };
        process.pid = process.number()?;
        let port = process.number()?;
        process.address.set_port(port);
        Ok(process)
    }

    /// Returns the server's bytes of live heap.
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
            io::Error::other(format!("the server has printed {line:?} instead of a number"))
        })
    }

    /// Ends the server, and waits for the tool that it runs under, which may still have to write
    /// its file.
    pub(crate) fn end(mut self) -> io::Result<()> {
        use std::os::unix::process::ExitStatusExt;
        self.terminate();
        let status = self.child.wait()?;
        match status.signal() {
            Some(SIGTERM) => Ok(()),
            // Some tools return this code when their program ends by SIGTERM.
            _ if status.code() == Some(128 + SIGTERM) => Ok(()),
            _ if status.success() => Ok(()), // some servers handle the signal
            _ => Err(io::Error::other(format!("the server has failed: {status}"))),
        }
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, Signal::TERM)); // the server may have ended already
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.terminate();
        let _ = self.child.wait(); // returns at once if `end` has waited already
    }
}

/// Runs in the server process: prints its process id and its port, and serves until it is ended, at
/// the latest with the process that started it. Uses one thread, on the core of the servers, unless
/// the service demands more. With `counts_heap`, another one answers questions about the heap.
pub(crate) fn serve(server: &Server, args: ServerArgs<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let listener = listen()?;
    println!("{}\n{}", std::process::id(), listener.local_addr()?.port());
    if args.counts_heap {
        heap::count();
        thread::spawn(|| io::stdin().lines().for_each(|_| println!("{}", heap::live())));
    }
    if let Some(current) = args.descriptors {
        let limit = Rlimit { current: Some(current), ..getrlimit(Resource::Nofile) };
        setrlimit(Resource::Nofile, limit)?;
    }
    match args.service.workers() {
        None => cpu::pin(&[cpu::SERVER])?,
        Some(_) => cpu::pin(&[cpu::SERVER, cpu::LOAD])?,
    }
    if args.service == Service::HttpFile {
        fs::write(FILE_NAME, [b'x'; FILE])?;
    }
    server.serve(listener, args.service)
}

/// Makes a listener that a program in place of this one inherits. Its queue is long enough for the
/// load; std's has 128 places. Accepted
/// sockets inherit two options. `TCP_NODELAY`: no server has to set it for each connection. The
/// congestion control: with an algorithm that paces, as BBR does, the pacing would be measured and
/// not the servers.
fn listen() -> io::Result<TcpListener> {
    use rustix::net::{self, AddressFamily, SocketType};
    let socket = net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    set_tcp_nodelay(&socket, true)?;
    set_tcp_congestion(&socket, CONGESTION_CONTROL)?;
    net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    net::listen(&socket, 4096)?;
    Ok(socket.into())
}
