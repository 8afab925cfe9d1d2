//! Two network namespaces that are joined by a pair of veth devices. A process in the one runs the
//! script, and a process in the other is the peer.
//!
//! ```text
//!   test ──▶ lab (user namespace, network namespace, device "here")
//!             ├──▶ holder (its own network namespace, device "there"): keeps the namespace
//!             └──▶ peer (in the namespace of the holder): can be killed
//! ```
//!
//! The holder and the peer end when the lab ends, because it has the other ends of their inputs.

use std::cell::{Cell, RefCell};
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

use squall_net::{BindOptions, IoStream, TcpListener, UnixStream, bind_sockets, block_on};

use super::actor::Actor;
use super::scripts;
use super::stage::{Stage, World};
use crate::watched::say;

/// The devices have fixed addresses, and this end knows that of the other: the kernel need not ask,
/// so a cut link loses the packets and nothing else. It asks for other addresses thrice, and waits
/// 50 ms each time instead of a second.
const HERE: &str = "link set lo up
link set here up
addr add 10.0.0.1/24 dev here
neigh add 10.0.0.2 dev here lladdr 02:00:00:00:00:02 nud permanent
ntable change name arp_cache dev here retrans 50
";
const THERE: &str = "link set lo up
link set there up
addr add 10.0.0.2/24 dev there
";

/// The programs of this file, run as processes of their own.
pub(crate) fn program(name: &str) {
    match name.split_once(' ').unwrap_or((name, "")) {
        ("lab", script) => enter_lab(script),
        ("script", script) => run_script(script),
        ("holder", _) => {
            say("ready");
            let _ = io::stdin().read(&mut [0]); // until the lab ends
        }
        ("peer", _) => be_peer(),
        _ => panic!("no program {name}"),
    }
}

fn this_program() -> String {
    env::current_exe().unwrap().into_os_string().into_string().expect("a path in UTF-8")
}

/// Why there can be no lab on this machine, if there can be none.
pub(crate) fn why_not() -> Option<&'static str> {
    let works = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !works("ip", &["-Version"]) {
        Some("there is no program ip (iproute2)")
    } else if !works("nsenter", &["--version"]) {
        Some("there is no program nsenter (util-linux)")
    } else if !works("unshare", &["-Urn", "ip", "link", "set", "lo", "up"]) {
        Some("no permission to make network namespaces")
    } else {
        None
    }
}

/// Becomes the process of the script, in namespaces of its own.
fn enter_lab(script: &str) {
    let mut command = Command::new("unshare");
    command.args(["-Urn", &this_program(), "as", &format!("script {script}")]);
    panic!("unshare: {}", command.exec());
}

fn run_script(script: &str) {
    let lab = Lab::new();
    let log = block_on(async {
        lab.restart();
        let stage = Stage::new(World::Kernel(lab), Actor::new(listen));
        scripts::run(script, &stage).await;
        stage.into_log()
    });
    log.iter().for_each(|line| say(line));
}

pub(crate) struct Lab {
    holder: Child,
    _input: ChildStdin,
    peer: RefCell<Option<Peer>>,
    is_crashed: Cell<bool>,
}

struct Peer {
    process: Child,
    /// `None` while an answer is awaited.
    words: Option<IoStream<UnixStream>>,
}

impl Lab {
    fn new() -> Lab {
        let mut command = Command::new("unshare");
        command.args(["--net", &this_program(), "as", "holder"]);
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        let _input = holder.stdin.take().unwrap();
        let lab = Lab { holder, _input, peer: RefCell::new(None), is_crashed: Cell::new(false) };
        let pair = "link add here address 02:00:00:00:00:01 type veth \
                    peer name there address 02:00:00:00:00:02 netns";
        configure(Command::new("ip"), &format!("{pair} {}\n", lab.holder.id()));
        configure(lab.over_there("ip"), THERE);
        configure(Command::new("ip"), HERE);
        lab
    }

    /// A command in the other namespace.
    fn over_there(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg(program);
        command
    }

    pub(crate) fn set_link(&self, state: &str) {
        configure(self.over_there("ip"), &format!("link set there {state}\n"));
    }

    pub(crate) fn restart(&self) {
        if self.is_crashed.take() {
            self.set_link("up");
        }
        let (words, input) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut command = self.over_there(&this_program());
        let process = command.args(["as", "peer"]).stdin(OwnedFd::from(input)).spawn().unwrap();
        let words = Some(IoStream::new(UnixStream::from_std(words).unwrap()));
        let former = self.peer.replace(Some(Peer { process, words }));
        assert!(former.is_none(), "a peer is running");
    }

    /// Ends the peer. Its sockets are closed when this returns.
    pub(crate) fn kill(&self) {
        let mut peer = self.peer.take().expect("a peer is running");
        peer.process.kill().unwrap();
        peer.process.wait().unwrap();
    }

    /// Ends the peer without a word to us: while the link is cut, it resets its streams, so that
    /// its kernel knows nothing of them any more. A restart heals the link.
    pub(crate) async fn crash(&self) {
        self.set_link("down");
        self.ask("reset-all").await;
        self.kill();
        self.is_crashed.set(true);
    }

    pub(crate) async fn ask(&self, line: &str) -> String {
        let take = || self.peer.borrow_mut().as_mut().and_then(|peer| peer.words.take());
        let mut words = take().expect("a peer that is not busy");
        words.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let answer = words.read_until(b"\n").await.unwrap();
        if let Some(peer) = &mut *self.peer.borrow_mut() {
            peer.words = Some(words);
        }
        String::from_utf8_lossy(&answer).trim_end().to_owned()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.peer.borrow().is_some() {
            self.kill();
        }
        let _ = self.holder.kill(); // it may have ended
        let _ = self.holder.wait();
    }
}

/// Runs `ip` with these commands.
fn configure(mut ip: Command, commands: &str) {
    let mut process = ip.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    process.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(process.wait().unwrap().success(), "{commands}");
}

/// Does what comes by the input.
fn be_peer() {
    block_on(async {
        let input = io::stdin().as_fd().try_clone_to_owned().unwrap();
        let mut words = IoStream::new(UnixStream::from_std(input.into()).unwrap());
        let actor = Actor::new(listen);
        while let Ok(line) = words.read_until(b"\n").await {
            let answer = actor.act(String::from_utf8_lossy(&line).trim_end()).await;
            words.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        }
    });
}

/// Listens with a backlog of 1, which has room for two connections.
fn listen(on: SocketAddr) -> io::Result<TcpListener> {
    let options = BindOptions::default().backlog(1);
    let mut sockets = bind_sockets(on.port(), Some(&on.ip().to_string()), options)?;
    TcpListener::from_std(sockets.remove(0))
}
