//! Binds listening sockets before a loop exists, and before a fork.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::refuse;
use crate::server::path_lock::PathLock;
use crate::socket::listener::BACKLOG;
use crate::sys;

/// How many ports [`bind_sockets`] tries if its `port` is 0. A try fails if the port that the
/// kernel chose for one address is in use for another.
const MAX_PORT_TRIES: usize = 16;

/// Options of [`bind_sockets`]. Each method returns the changed options.
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
    /// Sets how many connections may wait to be accepted; 4096 by default. The kernel caps the
    /// number at `net.core.somaxconn`.
    pub fn backlog(mut self, connections: u16) -> BindOptions {
        self.backlog = connections.into();
        self
    }

    /// Lets other sockets of this user listen on the same port (`SO_REUSEPORT`); off by default.
    ///
    /// The kernel distributes connections among these sockets. When a socket is closed, the
    /// connections in its queue are reset. A socket that is shared by a fork or handed to another
    /// process loses none.
    pub fn reuse_port(mut self, reuse: bool) -> BindOptions {
        self.reuse_port = reuse;
        self
    }
}

/// Listens on every address of a host and returns the sockets, IPv4 first.
///
/// `None` stands for every interface, in both address families. If `port` is 0, the kernel chooses
/// one port for all sockets. The sockets are non-blocking and close-on-exec, IPv6 sockets accept
/// IPv6 only, and accepted streams have `TCP_NODELAY`. Pass the sockets to
/// [`TcpServer::add_sockets`](crate::TcpServer::add_sockets). They may be bound before or after a
/// fork. Tornado: `bind_sockets`.
///
/// The call blocks while it resolves a name, so bind before the loop runs.
///
/// # Errors
/// Errors of `socket(2)`, `bind(2)` and `listen(2)`; `NotFound` for a name that does not exist, and
/// `HostUnreachable` if the name service fails. No socket stays open then. An address family that
/// the machine lacks is skipped, unless there is no other.
///
/// # Examples
/// ```
/// let sockets = squall_net::bind_sockets(0, Some("127.0.0.1"), Default::default())?;
/// assert_eq!(sockets.len(), 1);
/// # std::io::Result::Ok(())
/// ```
pub fn bind_sockets(
    port: u16,
    address: Option<&str>,
    options: BindOptions,
) -> io::Result<Vec<TcpListener>> {
    refuse("bind_sockets")?;
    let addresses: Vec<SocketAddr> = match address {
        Some(host) => (host, port).to_socket_addrs().map_err(sys::name_lookup_error)?.collect(),
        None => {
            let every = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
            every.map(|ip| SocketAddr::new(ip, port)).into()
        }
    };
    let (mut addresses, ipv6): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(SocketAddr::is_ipv4);
    addresses.extend(ipv6);
    let mut seen = HashSet::new();
    addresses.retain(|address| seen.insert(*address)); // a hosts file may list an address twice
    let mut tries = 1;
    loop {
        match bind_all(&addresses, options) {
            Err(error)
                if port == 0
                    && error.kind() == io::ErrorKind::AddrInUse
                    && tries < MAX_PORT_TRIES =>
            {
                tries += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Binds all addresses. If the port is 0, all get the port of the first socket.
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
            Err(error) if is_family_missing(&error, address) => skipped = Some(error),
            Err(error) => return Err(error),
        }
    }
    match skipped {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(sockets),
    }
}

/// Whether the machine lacks the address family. Either the kernel does not support the family, or
/// the IPv6 loopback address is missing, which a hosts file may still name.
fn is_family_missing(error: &io::Error, address: SocketAddr) -> bool {
    match error.raw_os_error() {
        Some(libc::EAFNOSUPPORT) => true,
        Some(libc::EADDRNOTAVAIL) => address.ip() == IpAddr::from(Ipv6Addr::LOCALHOST),
        _ => false,
    }
}

/// Listens on a path, and replaces the socket that an ended server has left there.
///
/// `mode` sets which users may connect, whatever the umask: 0o600 allows this user only. A path
/// that begins with a NUL byte is a name in the abstract namespace, which has no mode. The socket
/// is non-blocking and close-on-exec. Pass it to
/// [`UnixServer::add_sockets`](crate::UnixServer::add_sockets). Tornado: `bind_unix_socket`.
///
/// Users that `mode` excludes can never connect, because the socket listens only after the mode is
/// set. If several servers bind the same path at once, exactly one succeeds. They coordinate by a
/// lock file beside the path, `.name.lock`, which exists for less than a millisecond.
///
/// # Errors
/// - `AddrInUse`: a server listens on the path.
/// - `AlreadyExists`: a file at the path is not a socket.
/// - `InvalidInput`: the path is empty or too long.
/// - `WouldBlock`: the lock file stays locked for a second.
/// - Errors of `open(2)`, `bind(2)`, `chmod(2)` and `unlink(2)`.
pub fn bind_unix_socket(path: impl AsRef<Path>, mode: u32) -> io::Result<UnixListener> {
    refuse("bind_unix_socket")?;
    let path = path.as_ref();
    let address = sys::unix_address(path)?;
    if address.as_pathname().is_none() {
        let listener = sys::bind_unix(&address)?;
        sys::set_backlog(&listener, BACKLOG)?;
        return Ok(listener);
    }
    // Until the new socket listens, another server would take it for a stale one.
    let _lock = PathLock::acquire(path)?;
    remove_stale(path)?;
    let listener = sys::bind_unix(&address)?;
    let opened = fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .and_then(|()| sys::set_backlog(&listener, BACKLOG));
    match opened {
        Ok(()) => Ok(listener),
        Err(error) => {
            let _ = fs::remove_file(path); // the first error says more
            Err(error)
        }
    }
}

/// Removes the socket that an ended server has left at `path`, if there is one.
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
        // The file's server has just removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // `WouldBlock` means a full queue, so a server listens.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => {
            let text = format!("a server listens on {}", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
    }
}
