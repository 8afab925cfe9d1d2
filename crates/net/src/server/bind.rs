//! Listening sockets that are made before there is a loop, or a second process.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::server::path_lock::PathLock;
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
    let mut seen = HashSet::new();
    addresses.retain(|address| seen.insert(*address)); // a hosts file may name one twice
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
/// namespace, which has no mode. `mode` is who may connect, whatever the umask: 0o600 is this user. Non-blocking and
/// close-on-exec. For [`UnixServer::add_sockets`](crate::UnixServer::add_sockets). Tornado: `bind_unix_socket`.
///
/// At no time may others connect: until the mode is set, the socket does not listen. Of several servers that come to one path
/// at once, one gets it; they agree by a file beside it, `.name.lock`, which is there for less than a millisecond.
///
/// # Errors
/// `AddrInUse` if a server listens there; `AlreadyExists` if there is a file that is no socket; `InvalidInput` for an empty
/// path; `WouldBlock` if somebody keeps that file locked for a second; and those of `open(2)`, `bind(2)`, `chmod(2)` and
/// `unlink(2)`.
pub fn bind_unix_socket(path: impl AsRef<Path>, mode: u32) -> io::Result<UnixListener> {
    let path = path.as_ref();
    let address = sys::unix_address(path)?;
    if address.as_pathname().is_none() {
        let listener = sys::bind_unix(&address)?;
        sys::set_backlog(&listener, BACKLOG)?;
        return Ok(listener);
    }
    // Until it listens, this socket looks as stale as one that was left behind.
    let _alone = PathLock::of(path)?;
    remove_stale(path)?;
    let listener = sys::bind_unix(&address)?;
    let opened = fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .and_then(|()| sys::set_backlog(&listener, BACKLOG));
    match opened {
        Ok(()) => Ok(listener),
        Err(error) => {
            let _ = fs::remove_file(path); // the error that led here says more
            Err(error)
        }
    }
}

/// Removes the socket of a server that is gone.
fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        let text = format!("{} exists and is no socket", path.display());
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
    }
    match sys::connect_unix(&sys::unix_address(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()), // its server has just removed it
        // A queue that is full is that of a living server.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => {
            let text = format!("a server listens on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
    }
}
