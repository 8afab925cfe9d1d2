//! Addresses of Unix sockets, and the port option of a socket that will connect.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::Path;

use rustix::net::{SocketAddrAny, SocketAddrUnix};

use super::process::check;

/// Returns the address of a path. A path that begins with a NUL byte is a name in the abstract
/// namespace.
///
/// # Errors
/// `InvalidInput` for an empty path: the kernel would choose a free abstract name for it.
pub(crate) fn unix_address(path: &Path) -> io::Result<UnixAddress> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path of a socket is empty"));
    }
    match path.as_os_str().as_bytes().strip_prefix(b"\0") {
        Some(name) => UnixAddress::from_abstract_name(name),
        None => UnixAddress::from_pathname(path),
    }
}

/// Converts an address to rustix's type for the system calls.
///
/// # Errors
/// `InvalidInput` for an unnamed address: no socket can connect to it.
pub(super) fn for_kernel(address: &UnixAddress) -> io::Result<SocketAddrUnix> {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => Ok(SocketAddrUnix::new(path)?),
        (_, Some(name)) => Ok(SocketAddrUnix::new_abstract_name(name)?),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "an unnamed socket address")),
    }
}

/// Converts the address of a sender from rustix's type. A sender without an address is unnamed.
pub(super) fn from_kernel(address: Option<SocketAddrAny>) -> io::Result<UnixAddress> {
    let unix = address.map(SocketAddrUnix::try_from).transpose()?;
    match unix.as_ref().map(|unix| (unix.path_bytes(), unix.abstract_name())) {
        Some((Some(path), _)) => UnixAddress::from_pathname(OsStr::from_bytes(path)),
        Some((_, Some(name))) => UnixAddress::from_abstract_name(name),
        _ => UnixAddress::from_pathname(""), // std has no other name for an unnamed address
    }
}

/// `setsockopt(2)` with `IP_BIND_ADDRESS_NO_PORT`: after a bind to port 0, the connect chooses the
/// port.
#[allow(unsafe_code, reason = "rustix has no name for this option")]
pub(super) fn bind_no_port(fd: BorrowedFd<'_>) -> io::Result<()> {
    let yes: libc::c_int = 1;
    // SAFETY: the kernel reads four bytes, a `c_int`, from `yes`, which lives to the end of this
    // function.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const yes).cast(),
            4,
        )
    })?;
    Ok(())
}
