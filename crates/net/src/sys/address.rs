//! The addresses of Unix sockets, and the port of a socket that will connect.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::Path;

use rustix::net::SocketAddrUnix;

use super::process::check;

/// The address of a path, or of a name in the abstract namespace if it begins with a NUL byte.
///
/// # Errors
/// An empty path is refused: for the kernel it means any free name.
pub(crate) fn unix_address(path: &Path) -> io::Result<UnixAddress> {
    if path.as_os_str().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty path of a socket"));
    }
    match path.as_os_str().as_bytes().strip_prefix(b"\0") {
        Some(name) => UnixAddress::from_abstract_name(name),
        None => UnixAddress::from_pathname(path),
    }
}

/// The same address for the system calls.
///
/// # Errors
/// An unnamed address is refused: no socket can connect to it.
pub(super) fn for_kernel(address: &UnixAddress) -> io::Result<SocketAddrUnix> {
    match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => Ok(SocketAddrUnix::new(path)?),
        (_, Some(name)) => Ok(SocketAddrUnix::new_abstract_name(name)?),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "an unnamed address")),
    }
}

/// `setsockopt(2)` with `IP_BIND_ADDRESS_NO_PORT`: a bind to port 0 leaves the choice of the port to the connect.
#[allow(unsafe_code, reason = "rustix has no name for this option")]
pub(super) fn bind_no_port(fd: BorrowedFd<'_>) -> io::Result<()> {
    let yes: libc::c_int = 1;
    // SAFETY: the kernel reads four bytes, a `c_int`, from `yes`, which lives to the end of this function.
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
