//! Listening sockets that come from another process, or go to one.
//!
//! The protocol is systemd's: the sockets are descriptors 3 and up, `LISTEN_FDS` says how many, `LISTEN_FDNAMES` what they are
//! called, and `LISTEN_PID` for whom they are. Source: sd_listen_fds(3).
//!
//! An environment outlives what it speaks of: a grandchild inherits the variables and not the sockets, and whatever it has
//! opened may have their numbers by then. So a claim counts only if it is bound to what it claims: by `LISTEN_PID`, or, since a
//! parent does not know that before its child runs, by [`IDENTITIES`], which says what the descriptors are.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys::{self, Family, SocketType};

/// The number of the first socket.
const FIRST: RawFd = 3;

/// Device and inode of each socket, as [`spawn_with_sockets`] has seen them.
const IDENTITIES: &str = "SQUALL_LISTEN_INODES";

/// They can be taken once: a second owner of the same numbers would close the first one's.
static ARE_TAKEN: Mutex<bool> = Mutex::new(false);

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
        self.check("a TCP listener", &[Family::INET, Family::INET6])?;
        let listener = TcpListener::from(self.fd);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// The socket as a Unix listener, non-blocking.
    ///
    /// # Errors
    /// `InvalidInput` if it is anything else, with what it is.
    pub fn into_unix(self) -> io::Result<UnixListener> {
        self.check("a Unix listener", &[Family::UNIX])?;
        let listener = UnixListener::from(self.fd);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// The descriptor, whatever it is.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    fn check(&self, wanted: &str, families: &[Family]) -> io::Result<()> {
        let refuse = |what: String| {
            let text = format!("the inherited descriptor {:?} is not {wanted}: {what}", self.name);
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        };
        let family = match sys::address_family(&self.fd) {
            Ok(family) => family,
            Err(errno) => return refuse(io::Error::from(errno).to_string()),
        };
        if !families.contains(&family) {
            return refuse(format!("its address family is {}", family.as_raw()));
        }
        if sys::socket_type(&self.fd)? != SocketType::STREAM || !sys::is_listening(&self.fd)? {
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
/// on. None if there are none, on the second call, or if they were meant for another process: `LISTEN_PID` names one, or a
/// parent's parent has handed sockets on that did not come here.
///
/// Call it early: a program that has closed what it was started with may have opened something else under the same number.
/// That is refused if it is close-on-exec, as all that std opens is.
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
/// `InvalidData` for a `LISTEN_FDS` that is no number, or a descriptor that this process was not started with; `EBADF` for one
/// that is not open. Nothing is taken then.
pub fn inherited_sockets() -> io::Result<Vec<InheritedSocket>> {
    let Some(count) = env::var_os("LISTEN_FDS") else { return Ok(Vec::new()) };
    let count: u16 = count.to_str().and_then(|count| count.parse().ok()).ok_or_else(|| {
        let text = format!("LISTEN_FDS is {count:?}, which is no number of descriptors");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    let numbers = FIRST..FIRST + RawFd::from(count);
    let is_ours = match (env::var_os("LISTEN_PID"), env::var_os(IDENTITIES)) {
        (Some(pid), _) => pid.to_str() == Some(&std::process::id().to_string()),
        (None, Some(claimed)) => identities(numbers.clone()).is_ok_and(|found| claimed == *found),
        (None, None) => false,
    };
    let mut are_taken = ARE_TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_ours || *are_taken {
        return Ok(Vec::new());
    }
    let fds = sys::adopt_inherited(numbers)?;
    *are_taken = true;
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.split(':').map(str::to_owned).chain(std::iter::repeat(String::new()));
    Ok(fds.into_iter().zip(names).map(|(fd, name)| InheritedSocket { name, fd }).collect())
}

/// What tells open files apart, as a text: device and inode of each.
fn identities(numbers: impl Iterator<Item = RawFd>) -> io::Result<String> {
    let identity = |number| {
        let (device, inode) = sys::identity(number)?;
        Ok(format!("{device}:{inode}"))
    };
    Ok(numbers.map(identity).collect::<io::Result<Vec<_>>>()?.join(" "))
}

/// Starts a command that finds `sockets`, with their names, by [`inherited_sockets`] or systemd's protocol: a new release of a
/// server, say, which goes on accepting where this one stops. Both have them then: [drain](crate::Server::drain) this one.
///
/// `LISTEN_PID` is not set, since nobody knows the number before the program runs; `SQUALL_LISTEN_INODES` says which sockets
/// are meant. The command may be used again, with other sockets.
///
/// # Errors
/// Those of [`Command::spawn`], `fcntl(2)` and `fstat(2)`; `InvalidInput` for a name with a colon.
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
    command.env(IDENTITIES, identities(sockets.iter().map(|(_, fd)| fd.as_raw_fd()))?);
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
    let copies = Arc::new(copies); // gone, and closed, when the command has been spawned
    sys::give_descriptors(command, &copies, FIRST);
    command.spawn()
}

/// Takes every free number from [`FIRST`] to `end`, and one more.
fn reserve(fd: BorrowedFd<'_>, end: RawFd) -> io::Result<Vec<OwnedFd>> {
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
