//! Listening sockets that this process inherits, or passes to a new process.
//!
//! The protocol is systemd's. The sockets are descriptors 3 and up. `LISTEN_FDS` holds their count,
//! `LISTEN_FDNAMES` their names, and `LISTEN_PID` the process that they are for. Source:
//! sd_listen_fds(3).
//!
//! A grandchild may inherit the variables without the sockets. Files that it opens may then have
//! the sockets' descriptor numbers. So the variables count only in two cases: `LISTEN_PID` names
//! this process, or [`IDENTITIES`] matches the open descriptors. [`spawn_with_sockets`] sets
//! [`IDENTITIES`], because a parent does not know the child's process id before the child runs.

use std::env;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError};

use crate::refuse;
use crate::sys::{self, Family, SocketType};

/// The descriptor number of the first socket.
const FIRST_FD: RawFd = 3;

/// The variable that holds the device and inode of each socket; [`spawn_with_sockets`] sets it.
const IDENTITIES: &str = "SQUALL_LISTEN_INODES";

/// Whether the sockets were taken. They can be taken only once, because a second owner of the same
/// descriptor numbers would close the first owner's sockets.
static ARE_TAKEN: Mutex<bool> = Mutex::new(false);

/// A socket that this process has inherited.
#[derive(Debug)]
pub struct InheritedSocket {
    name: String,
    fd: OwnedFd,
}

impl InheritedSocket {
    /// Returns the name from systemd's `FileDescriptorName=` or from [`spawn_with_sockets`]; empty
    /// if there is none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Converts the socket into a TCP listener, and makes it non-blocking.
    ///
    /// # Errors
    /// `InvalidInput` if the descriptor is anything else. The message says what it is.
    pub fn into_tcp(self) -> io::Result<TcpListener> {
        self.check("a TCP listener", &[Family::INET, Family::INET6])?;
        let listener = TcpListener::from(self.fd);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Converts the socket into a Unix listener, and makes it non-blocking.
    ///
    /// # Errors
    /// `InvalidInput` if the descriptor is anything else. The message says what it is.
    pub fn into_unix(self) -> io::Result<UnixListener> {
        self.check("a Unix listener", &[Family::UNIX])?;
        let listener = UnixListener::from(self.fd);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// Returns the descriptor, whatever its type is.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    fn check(&self, wanted: &str, families: &[Family]) -> io::Result<()> {
        let refuse = |reason: String| {
            let text =
                format!("the inherited descriptor {:?} is not {wanted}: {reason}", self.name);
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

/// Takes the sockets that systemd, or a parent with [`spawn_with_sockets`], has passed to this
/// process.
///
/// The sockets are close-on-exec from now on. The result is empty if there are none, if they were
/// taken before, or if they were meant for another process. That is so if `LISTEN_PID` names
/// another process, or if a grandparent's variables reached this process without the sockets.
///
/// Call it early. A program that has closed an inherited descriptor may have opened another file
/// with the same number. Such a descriptor is refused if it is close-on-exec, as are all that std
/// opens.
///
/// # Errors
/// - `InvalidData`: `LISTEN_FDS` is no number of descriptors, or a descriptor is close-on-exec, so
///   this process was not started with it.
/// - `EBADF`: a descriptor is not open.
///
/// No socket is taken then.
///
/// # Examples
/// ```
/// let sockets = squall_net::inherited_sockets()?;
/// if sockets.is_empty() {
///     // bind some
/// }
/// # std::io::Result::Ok(())
/// ```
pub fn inherited_sockets() -> io::Result<Vec<InheritedSocket>> {
    let Some(count) = env::var_os("LISTEN_FDS") else { return Ok(Vec::new()) };
    let count: u16 = count.to_str().and_then(|count| count.parse().ok()).ok_or_else(|| {
        let text = format!("LISTEN_FDS is {count:?}, which is no number of descriptors");
        io::Error::new(io::ErrorKind::InvalidData, text)
    })?;
    let numbers = FIRST_FD..FIRST_FD + RawFd::from(count);
    let is_ours = match (env::var_os("LISTEN_PID"), env::var_os(IDENTITIES)) {
        (Some(pid), _) => pid.to_str() == Some(&std::process::id().to_string()),
        (None, Some(expected)) => identities(numbers.clone()).is_ok_and(|found| expected == *found),
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

/// Returns the device and inode of each descriptor as text. Together they identify a file.
fn identities(numbers: impl Iterator<Item = RawFd>) -> io::Result<String> {
    let identity = |number| {
        let (device, inode) = sys::identity(number)?;
        Ok(format!("{device}:{inode}"))
    };
    Ok(numbers.map(identity).collect::<io::Result<Vec<_>>>()?.join(" "))
}

/// Spawns a command that inherits `sockets` with their names.
///
/// The program finds them with [`inherited_sockets`] or by systemd's protocol. So a new release of
/// a server can go on accepting where this process stops. Both processes have the sockets after the
/// call, so [drain](crate::Server::drain) this server.
///
/// `LISTEN_PID` is not set, because the process id is not known before the program runs. Instead,
/// `SQUALL_LISTEN_INODES` identifies the sockets. The command may be spawned again, with other
/// sockets.
///
/// # Errors
/// - `InvalidInput`: a name contains a colon.
/// - Errors of [`Command::spawn`], `fcntl(2)` and `statx(2)`.
pub fn spawn_with_sockets(
    command: &mut Command,
    sockets: &[(&str, BorrowedFd<'_>)],
) -> io::Result<Child> {
    refuse("spawn_with_sockets")?;
    if let Some((name, _)) = sockets.iter().find(|(name, _)| name.contains(':')) {
        let text = format!("a colon in the name {name:?} of a socket");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
    command.env("LISTEN_FDS", sockets.len().to_string());
    command.env("LISTEN_FDNAMES", names.join(":"));
    command.env(IDENTITIES, identities(sockets.iter().map(|(_, fd)| fd.as_raw_fd()))?);
    command.env_remove("LISTEN_PID");
    let end = FIRST_FD + RawFd::try_from(sockets.len()).map_err(io::Error::other)?;
    let mut copies = Vec::new();
    for (_, fd) in sockets {
        copies.push(sys::duplicate_from(*fd, end)?);
    }
    // `Command::spawn` makes a pipe, which must not get a number that a socket will have in the
    // child. So those that are free are reserved until the command has been spawned.
    let _reserved = match sockets.first() {
        Some((_, fd)) => reserve(*fd, end)?,
        None => Vec::new(),
    };
    let copies = Arc::new(copies); // dropped after the spawn, which closes the copies
    sys::give_descriptors(command, &copies, FIRST_FD);
    command.spawn()
}

/// Occupies every free descriptor number from [`FIRST_FD`] up to `end`, and the next free one.
fn reserve(fd: BorrowedFd<'_>, end: RawFd) -> io::Result<Vec<OwnedFd>> {
    let mut reserved = Vec::new();
    loop {
        let copy = sys::duplicate_from(fd, FIRST_FD)?;
        let is_beyond = copy.as_raw_fd() >= end;
        reserved.push(copy);
        if is_beyond {
            return Ok(reserved);
        }
    }
}
