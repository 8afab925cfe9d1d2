//! Listening sockets that are made before there is a loop, or a second process.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::sys;

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 4096;
/// How often a port that the kernel chose for one family and that is taken in the other is given back for another.
const PORTS_TRIED: usize = 16;

/// How [`bind_sockets`] makes sockets; set by value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindOptions {
    backlog: i32,
    reuse_port: bool,
}

impl Default for BindOptions {
    fn default() -> BindOptions {
        BindOptions { backlog: BACKLOG, reuse_port: false }
    }
}

impl BindOptions {
    /// Connections that may wait to be accepted; 4096 by default, and the kernel caps it at `net.core.somaxconn`.
    pub fn backlog(mut self, connections: u16) -> BindOptions {
        self.backlog = connections.into();
        self
    }

    /// Lets other sockets of this user listen on the same port (`SO_REUSEPORT`): the kernel deals connections out among them.
    /// What waits in the queue of one that is closed is reset; sockets that are shared by fork, or handed on, lose nothing.
    pub fn reuse_port(mut self, reuse: bool) -> BindOptions {
        self.reuse_port = reuse;
        self
    }
}

/// Listens on every address of a host, IPv4 first; `None` is every interface, in both families. Port 0 is one port, which the
/// kernel chooses, for all of them. The sockets are non-blocking and close-on-exec, IPv6 ones are for IPv6 only, and
/// accepted streams have `TCP_NODELAY`. For [`TcpServer::add_sockets`](crate::TcpServer::add_sockets), before or after a
/// fork. Tornado: `bind_sockets`.
///
/// Names are resolved here and now: bind before the loop runs.
///
/// ```
/// let sockets = squall_net::bind_sockets(0, Some("127.0.0.1"), Default::default())?;
/// assert_eq!(sockets.len(), 1);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Those of the name service, `socket(2)`, `bind(2)` and `listen(2)`; then no socket stays. A family that the machine does not
/// have is skipped, unless it is the only one.
pub fn bind_sockets(
    port: u16,
    address: Option<&str>,
    options: BindOptions,
) -> io::Result<Vec<TcpListener>> {
    let mut addresses: Vec<SocketAddr> = match address {
        Some(host) => (host, port).to_socket_addrs()?.collect(),
        None => {
            let every = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
            every.map(|ip| SocketAddr::new(ip, port)).into()
        }
    };
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.dedup();
    let mut tries = 1;
    loop {
        match bind_all(&addresses, options) {
            Err(error)
                if port == 0 && error.kind() == io::ErrorKind::AddrInUse && tries < PORTS_TRIED =>
            {
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

fn bind_all(addresses: &[SocketAddr], options: BindOptions) -> io::Result<Vec<TcpListener>> {
    let how = sys::Listen { backlog: options.backlog, reuse_port: options.reuse_port };
    let mut sockets: Vec<TcpListener> = Vec::new();
    let mut skipped = None;
    for address in addresses {
        let mut address = *address;
        if address.port() == 0
            && let Some(first) = sockets.first()
        {
            address.set_port(first.local_addr()?.port());
        }
        match sys::listen(address, how) {
            Ok(socket) => sockets.push(socket),
            Err(error) if is_missing(&error, address) => skipped = Some(error),
            Err(error) => return Err(error),
        }
    }
    match skipped {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// Tells whether the machine does not have the family: compiled out, or without its loopback address, for which a hosts file
/// may still have a name.
fn is_missing(error: &io::Error, address: SocketAddr) -> bool {
    match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => true,
        Some(libc::EADDRNOTAVAIL) => address.ip() == IpAddr::from(Ipv6Addr::LOCALHOST),
        _ => false,
    }
}

/// Listens on a path, over the socket of a server that is gone; one that begins with a NUL byte is a name in the abstract
/// namespace, which has no mode. `mode` is who may connect: 0o600 is this user. For
/// [`UnixServer::add_sockets`](crate::UnixServer::add_sockets). Tornado: `bind_unix_socket`.
///
/// The socket is made under another name, given its mode, and moved to its own: at no time may others connect.
///
/// # Errors
/// `AddrInUse` if a server listens there; `AlreadyExists` if there is a file that is no socket; and those of `bind(2)`,
/// `chmod(2)` and `rename(2)`.
pub fn bind_unix_socket(path: impl AsRef<Path>, mode: u32) -> io::Result<UnixListener> {
    let path = path.as_ref();
    let address = sys::unix_address(path)?;
    if address.as_pathname().is_none() {
        return nonblocking(UnixListener::bind_addr(&address)?);
    }
    refuse_unless_stale(path)?;
    let hidden = hidden_name(path);
    let listener = UnixListener::bind(&hidden)?;
    let moved = fs::set_permissions(&hidden, fs::Permissions::from_mode(mode))
        .and_then(|()| fs::rename(&hidden, path));
    if let Err(error) = moved {
        let _ = fs::remove_file(&hidden); // the error that led here says more
        return Err(error);
    }
    nonblocking(listener)
}

fn nonblocking(listener: UnixListener) -> io::Result<UnixListener> {
    listener.set_nonblocking(true)?;
    sys::set_backlog(&listener, BACKLOG)?;
    Ok(listener)
}

fn refuse_unless_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let text = format!("{} exists and is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            let text = format!("a server listens on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
    }
}

/// A name beside `path` that no other process uses.
fn hidden_name(path: &Path) -> PathBuf {
    path.with_file_name(format!(".squall-{}", std::process::id()))
}
