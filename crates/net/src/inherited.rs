//! Listening sockets that come from another process, or go to one.
//!
//! The protocol is systemd's: the sockets are descriptors 3 and up, `LISTEN_FDS` says how many, `LISTEN_FDNAMES` what they are
//! called, and `LISTEN_PID` for whom they are. Source: sd_listen_fds(3).

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys;

/// The number of the first socket.
const FIRST: RawFd = 3;

/// They can be taken once: a second owner of the same numbers would close the first one's.
static ARE_TAKEN: AtomicBool = AtomicBool::new(false);

/// A socket that this process was started with.
#[derive(Debug)]
pub struct InheritedSocket {
    name: String,
    fd: OwnedFd,
}

impl InheritedSocket {
    /// What systemd's `FileDescriptorName=`, or [`spawn_with_sockets`], calls it; empty if it has no name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The socket as a TCP listener, non-blocking.
    ///
    /// # Errors
    /// `InvalidInput` if it is anything else, with what it is.
    pub fn into_tcp(self) -> io::Result<TcpListener> {
        self.check("a TCP listener", &[libc::AF_INET, libc::AF_INET6])?;
        let listener = TcpListener::from(self.fd);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// The socket as a Unix listener, non-blocking.
    ///
    /// # Errors
    /// `InvalidInput` if it is anything else, with what it is.
    pub fn into_unix(self) -> io::Result<UnixListener> {
        self.check("a Unix listener", &[libc::AF_UNIX])?;
        let listener = UnixListener::from(self.fd);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// The descriptor, whatever it is.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    fn check(&self, wanted: &str, families: &[i32]) -> io::Result<()> {
        let option = |name| sys::socket_option(self.fd.as_fd(), name);
        let refuse = |what: String| {
            let text = format!("the inherited descriptor {:?} is not {wanted}: {what}", self.name);
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        };
        let family = match option(libc::SO_DOMAIN) {
            Ok(family) => family,
            Err(error) => return refuse(error.to_string()),
        };
        if !families.contains(&family) {
            return refuse(format!("its address family is {family}"));
        }
        if option(libc::SO_TYPE)? != libc::SOCK_STREAM || option(libc::SO_ACCEPTCONN)? == 0 {
            return refuse("it does not listen for streams".to_owned());
        }
        Ok(())
    }
}

impl AsFd for InheritedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Takes the sockets that systemd, or a parent by [`spawn_with_sockets`], has started this process with; close-on-exec from now
/// on. None if there are none, if `LISTEN_PID` names another process, or on the second call. A `LISTEN_PID` that is absent is
/// no objection.
///
/// ```
/// let sockets = squall_net::inherited_sockets()?;
/// if sockets.is_empty() {
///     // bind some
/// }
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// `InvalidData` for a `LISTEN_FDS` that is no number; `EBADF` for a descriptor that is not open.
pub fn inherited_sockets() -> io::Result<Vec<InheritedSocket>> {
    let Some(count) = env::var_os("LISTEN_FDS") else { return Ok(Vec::new()) };
    if let Some(pid) = env::var_os("LISTEN_PID")
        && pid.to_str() != Some(&std::process::id().to_string())
    {
        return Ok(Vec::new());
    }
    let count: u16 = count.to_str().and_then(|count| count.parse().ok()).ok_or_else(|| {
        let text = format!("LISTEN_FDS is {count:?}, which is no number of descriptors");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    if ARE_TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    let numbers = FIRST..FIRST + RawFd::from(count);
    numbers
        .zip(names)
        .map(|(number, name)| Ok(InheritedSocket { name, fd: sys::adopt(number)? }))
        .collect()
}

/// Starts a command that finds `sockets`, with their names, by [`inherited_sockets`] or systemd's protocol: a new release of a
/// server, say, which goes on accepting where this one stops. Both have them then: [drain](crate::Server::drain) this one.
///
/// `LISTEN_PID` is not set, since nobody knows the number before the program runs.
///
/// # Errors
/// Those of [`Command::spawn`] and `fcntl(2)`; `InvalidInput` for a name with a colon.
pub fn spawn_with_sockets(
    command: &mut Command,
    sockets: &[(&str, BorrowedFd<'_>)],
) -> io::Result<Child> {
    if let Some((name, _)) = sockets.iter().find(|(name, _)| name.contains(':')) {
        let text = format!("a colon in the name {name:?} of a socket");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
    command.env("LISTEN_FDS", sockets.len().to_string());
    command.env("LISTEN_FDNAMES", names.join(":"));
    command.env_remove("LISTEN_PID");
    let end = FIRST + RawFd::try_from(sockets.len()).map_err(io::Error::other)?;
    let mut copies = Vec::new();
    for (_, fd) in sockets {
        copies.push(sys::duplicate_from(*fd, end)?);
    }
    // The command makes a pipe for itself, which must not get one of the numbers: those that are free are taken until then.
    let _reserved = match sockets.first() {
        Some((_, fd)) => reserve(*fd, end)?,
        None => Vec::new(),
    };
    sys::give_descriptors(command, copies, FIRST);
    command.spawn()
}

/// Takes every free number from [`FIRST`] to `end`, and one more.
fn reserve(fd: BorrowedFd<'_>, end: RawFd) -> io::Result<Vec<OwnedFd>> {
    use std::os::fd::AsRawFd;
    let mut reserved = Vec::new();
    loop {
        let copy = sys::duplicate_from(fd, FIRST)?;
        let is_beyond = copy.as_raw_fd() >= end;
        reserved.push(copy);
        if is_beyond {
            return Ok(reserved);
        }
    }
}
