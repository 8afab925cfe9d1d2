//! Opens and uses sockets as it is told by lines of text, and tells what the calls have returned.
//!
//! Both ends of a script are such actors, on the kernel's sockets and on simulated ones. A socket
//! has a name, and so has an address: see [`address`].

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use squall_net::{
    AsyncRead, AsyncWrite, ConnectOptions, IoStream, JoinHandle, TcpListener, TcpStream, UdpSocket,
    spawn, timeout,
};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a call is watched that is expected to wait.
const BRIEFLY: Duration = Duration::from_millis(100);

/// The most bytes that `read-all` reads at once.
const MOST_READ: usize = 1 << 18;
/// After how many bytes those of `write-all` begin again.
const PERIOD: usize = 251;

/// The names of addresses in scripts. The first simulated hosts have the first two.
const NAMES: [(&str, Ipv4Addr); 6] = [
    ("here", Ipv4Addr::new(10, 0, 0, 1)),
    ("there", Ipv4Addr::new(10, 0, 0, 2)),
    ("nobody", Ipv4Addr::new(10, 0, 0, 9)),
    ("any", Ipv4Addr::UNSPECIFIED),
    ("loopback", Ipv4Addr::LOCALHOST),
    ("loopback2", Ipv4Addr::new(127, 0, 0, 2)),
];

#[derive(Clone)]
pub(crate) struct Actor(Rc<Inner>);

struct Inner {
    listen: fn(SocketAddr) -> io::Result<TcpListener>,
    sockets: RefCell<BTreeMap<String, Rc<Socket>>>,
    /// The own ports of the streams that were connected, by their names.
    ports: RefCell<BTreeMap<String, u16>>,
    /// The commands that `begin` has begun.
    begun: RefCell<VecDeque<JoinHandle<String>>>,
}

enum Socket {
    Stream(RefCell<TcpStream>),
    Listener(TcpListener),
    Udp(UdpSocket),
}

impl Actor {
    /// `listen` opens a listening socket with room for two connections.
    pub(crate) fn new(listen: fn(SocketAddr) -> io::Result<TcpListener>) -> Actor {
        Actor(Rc::new(Inner {
            listen,
            sockets: RefCell::default(),
            ports: RefCell::default(),
            begun: RefCell::default(),
        }))
    }

    /// Does what the line says, and returns what came of it.
    ///
    /// `begin` in front of a command lets the actor go on; `finish` waits for what has begun first,
    /// and `poll` asks whether it has ended. `briefly` shows that a command waits.
    pub(crate) async fn act(&self, line: &str) -> String {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match first {
            "begin" => {
                let (actor, line) = (self.clone(), rest.to_owned());
                let task = spawn(async move { actor.outcome(&line).await });
                self.0.begun.borrow_mut().push_back(task);
                "begun".to_owned()
            }
            "poll" => {
                let begun = self.0.begun.borrow();
                let has_ended = begun.front().expect("a command has begun").is_finished();
                if has_ended { "has ended" } else { "waits" }.to_owned()
            }
            "finish" => {
                let task = self.0.begun.borrow_mut().pop_front().expect("a command has begun");
                within(PATIENCE, async { task.await.expect("it neither panics nor is aborted") })
                    .await
            }
            "briefly" => within(BRIEFLY, self.outcome(rest)).await,
            _ => within(PATIENCE, self.outcome(line)).await,
        }
    }

    async fn outcome(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        match self.call(&words).await {
            Ok(outcome) => outcome,
            Err(error) => match error.raw_os_error() {
                Some(number) => format!("{:?}, error {number}", error.kind()),
                None => format!("{:?}", error.kind()),
            },
        }
    }

    async fn call(&self, words: &[&str]) -> io::Result<String> {
        let done = || "done".to_owned();
        Ok(match *words {
            ["connect", name, to] => self.connect(name, to, ConnectOptions::default()).await?,
            ["connect", name, to, "within", millis] => {
                let deadline = Duration::from_millis(number(millis));
                self.connect(name, to, ConnectOptions::default().deadline(deadline)).await?
            }
            ["connect", name, to, "from", from] => {
                let options = ConnectOptions::default().source_address(address(from));
                self.connect(name, to, options).await?
            }
            // From the port of another stream.
            ["connect", name, to, "as", other] => {
                let from = (Ipv4Addr::UNSPECIFIED, self.port(other)).into();
                self.connect(name, to, ConnectOptions::default().source_address(from)).await?
            }
            ["listen", name, on] => {
                let listener = (self.0.listen)(address(on))?;
                let on = listener.local_addr()?;
                self.add(name, Socket::Listener(listener));
                format!("on {}", show(on))
            }
            // On the port that a stream has or had.
            ["listen", name, ip, "as", other] => {
                let on = SocketAddr::new(address(ip).ip(), self.port(other));
                let listener = (self.0.listen)(on)?;
                self.add(name, Socket::Listener(listener));
                done()
            }
            ["accept", listener, name] => {
                let listener = self.socket(listener);
                let Socket::Listener(listener) = &*listener else { panic!("no listener") };
                let (stream, peer) = listener.accept().await?;
                self.add(name, Socket::Stream(RefCell::new(stream)));
                format!("from {}", show(peer))
            }
            ["read", name, most] => {
                let bytes = read(&self.stream(name), number(most)).await?;
                if bytes.is_empty() { "end".to_owned() } else { text(&bytes) }
            }
            ["read-all", name] => {
                let (socket, mut len, mut as_sent) = (self.stream(name), 0, true);
                loop {
                    let bytes = read(&socket, MOST_READ).await?;
                    if bytes.is_empty() {
                        let how = if as_sent { "as sent" } else { "not as sent" };
                        break format!("{len} bytes, {how}");
                    }
                    let start = len % PERIOD;
                    as_sent &= bytes == pattern(start + bytes.len())[start..];
                    len += bytes.len();
                }
            }
            ["write", name, text] => wrote(write(&self.stream(name), text.as_bytes()).await?),
            ["write-all", name, len] => {
                let bytes = pattern(number(len));
                let (socket, mut sent) = (self.stream(name), 0);
                while sent < bytes.len() {
                    sent += write(&socket, &bytes[sent..]).await?;
                }
                wrote(sent)
            }
            ["shut", name, how] => {
                let how = match how {
                    "read" => Shutdown::Read,
                    "write" => Shutdown::Write,
                    _ => Shutdown::Both,
                };
                self.stream(name).borrow().shutdown(how)?;
                done()
            }
            ["local", name] => show(match &*self.socket(name) {
                Socket::Stream(stream) => stream.borrow().local_addr()?,
                Socket::Listener(listener) => listener.local_addr()?,
                Socket::Udp(udp) => udp.local_addr()?,
            }),
            ["peer", name] => show(match &*self.socket(name) {
                Socket::Stream(stream) => stream.borrow().peer_addr()?,
                Socket::Udp(udp) => udp.peer_addr()?,
                Socket::Listener(_) => panic!("no stream"),
            }),
            ["reset", name] => {
                let socket = self.0.sockets.borrow_mut().remove(name).expect("such a socket");
                reset(socket);
                done()
            }
            ["reset-all"] => {
                self.0.sockets.take().into_values().for_each(reset);
                done()
            }
            ["drop", name] => {
                let socket = self.0.sockets.borrow_mut().remove(name);
                drop(socket.expect("such a socket"));
                done()
            }
            _ => self.udp(words).await?,
        })
    }

    async fn udp(&self, words: &[&str]) -> io::Result<String> {
        if let ["bind", name, on] = *words {
            let udp = UdpSocket::bind(address(on))?;
            let on = udp.local_addr()?;
            self.add(name, Socket::Udp(udp));
            return Ok(format!("on {}", show(on)));
        }
        let socket = self.socket(words[1]);
        let Socket::Udp(udp) = &*socket else { panic!("{words:?} is no command") };
        Ok(match *words {
            ["associate", _, with] => {
                udp.connect(address(with))?;
                "done".to_owned()
            }
            ["send", _, text] => wrote(udp.send(text.as_bytes()).await?),
            ["send-zeros", _, len] => wrote(udp.send(&vec![0; number(len)]).await?),
            ["send-to", _, to, text] => wrote(udp.send_to(text.as_bytes(), address(to)).await?),
            ["recv", _, most] => {
                let mut buffer = vec![0; number(most)];
                let len = udp.recv(&mut buffer).await?;
                text(&buffer[..len])
            }
            ["recv-datagram", _, most] => {
                let mut buffer = vec![0; number(most)];
                let datagram = udp.recv_datagram(&mut buffer).await?;
                let whole = if datagram.is_truncated { "truncated" } else { "whole" };
                let text = text(&buffer[..datagram.len]);
                format!("{text}, {whole}, from {}", show(datagram.sender))
            }
            _ => panic!("{words:?} is no command"),
        })
    }

    async fn connect(&self, name: &str, to: &str, options: ConnectOptions) -> io::Result<String> {
        let stream = TcpStream::connect_with(address(to), options).await?;
        let port = stream.local_addr()?.port();
        self.0.ports.borrow_mut().insert(name.to_owned(), port);
        self.add(name, Socket::Stream(RefCell::new(stream)));
        Ok("connected".to_owned())
    }

    fn add(&self, name: &str, socket: Socket) {
        let former = self.0.sockets.borrow_mut().insert(name.to_owned(), Rc::new(socket));
        assert!(former.is_none(), "a socket is named {name} already");
    }

    fn socket(&self, name: &str) -> Rc<Socket> {
        let sockets = self.0.sockets.borrow();
        Rc::clone(sockets.get(name).unwrap_or_else(|| panic!("no socket is named {name}")))
    }

    fn port(&self, name: &str) -> u16 {
        *self.0.ports.borrow().get(name).expect("a stream that was connected")
    }

    fn stream(&self, name: &str) -> Stream {
        let socket = self.socket(name);
        assert!(matches!(*socket, Socket::Stream(_)), "{name} is no stream");
        Stream(socket)
    }
}

/// A socket that is a stream.
struct Stream(Rc<Socket>);

impl std::ops::Deref for Stream {
    type Target = RefCell<TcpStream>;

    fn deref(&self) -> &RefCell<TcpStream> {
        match &*self.0 {
            Socket::Stream(stream) => stream,
            _ => unreachable!("checked where it was made"),
        }
    }
}

fn reset(socket: Rc<Socket>) {
    match Rc::into_inner(socket) {
        Some(Socket::Stream(stream)) => IoStream::new(stream.into_inner()).reset(),
        Some(other) => drop(other),
        None => panic!("a task uses the socket"),
    }
}

async fn read(stream: &RefCell<TcpStream>, most: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; most];
    let len = poll_fn(|cx| Pin::new(&mut *stream.borrow_mut()).poll_read(cx, &mut buffer)).await?;
    buffer.truncate(len);
    Ok(buffer)
}

async fn write(stream: &RefCell<TcpStream>, bytes: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| Pin::new(&mut *stream.borrow_mut()).poll_write(cx, bytes)).await
}

async fn within(time: Duration, outcome: impl Future<Output = String>) -> String {
    timeout(time, outcome).await.unwrap_or_else(|_| "waits".to_owned())
}

/// What `write-all` writes.
fn pattern(len: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..=u8::MAX).take(PERIOD).collect();
    let mut bytes = period.repeat(len.div_ceil(PERIOD));
    bytes.truncate(len);
    bytes
}

fn text(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

fn wrote(len: usize) -> String {
    format!("{len} bytes")
}

fn number<N: std::str::FromStr>(text: &str) -> N {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// The address that a script calls `here:80`; `here` is one with port 0.
fn address(text: &str) -> SocketAddr {
    let (name, port) = text.split_once(':').unwrap_or((text, "0"));
    let named = NAMES.iter().find(|(known, _)| *known == name);
    let (_, ip) = named.unwrap_or_else(|| panic!("no address is named {name}"));
    SocketAddr::new((*ip).into(), number(port))
}

/// The name of an address. The ports that the kernel chooses are not shown.
fn show(address: SocketAddr) -> String {
    let named = NAMES.iter().find(|(_, ip)| IpAddr::from(*ip) == address.ip());
    let name = named.map_or_else(|| address.ip().to_string(), |(name, _)| (*name).to_owned());
    match address.port() {
        32_768..=60_999 => format!("{name}:*"),
        port => format!("{name}:{port}"),
    }
}
