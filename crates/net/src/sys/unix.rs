//! What only Unix sockets can: descriptors as messages, and the other end's credentials.

#![allow(unsafe_code, reason = "system calls are made here")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use squall_executor::fault::{self, Call};

use super::address::{encode_unix, size_of_socklen};
use super::{check, socket};

/// The most descriptors that one message carries (`SCM_MAX_FD`).
pub(crate) const MAX_FDS: usize = 253;

/// `accept4(2)`, close-on-exec, and made non-blocking.
pub(crate) fn accept_unix(listener: &UnixListener) -> io::Result<(UnixStream, SocketAddr)> {
    fault::check(Call::Accept)?;
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

/// `socket(2)` and `bind(2)`, close-on-exec and non-blocking. It does not listen, so nobody can connect before
/// [`set_backlog`](super::set_backlog).
pub(crate) fn bind_unix(to: &SocketAddr) -> io::Result<UnixListener> {
    let address = encode_unix(to)?;
    let fd = socket(libc::AF_UNIX)?;
    // SAFETY: the kernel reads `length` bytes of an address from a storage that holds them.
    check(unsafe {
        libc::bind(fd.as_raw_fd(), (&raw const address.storage).cast(), address.length)
    })?;
    Ok(UnixListener::from(fd))
}

/// `flock(2)`, exclusive and without waiting: the lock is held until the last copy of the descriptor is closed. `WouldBlock` if
/// another has it.
pub(crate) fn try_lock(file: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the call takes integers.
    check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) })?;
    Ok(())
}

/// `socket(2)` and `connect(2)`, close-on-exec and non-blocking: connected, or `WouldBlock` if the listener's queue is full.
pub(crate) fn connect_unix(to: &SocketAddr) -> io::Result<UnixStream> {
    let address = encode_unix(to)?;
    let fd = socket(libc::AF_UNIX)?;
    fault::check(Call::Connect)?;
    // SAFETY: the kernel reads `length` bytes of an address from a storage that holds them.
    check(unsafe {
        libc::connect(fd.as_raw_fd(), (&raw const address.storage).cast(), address.length)
    })?;
    Ok(UnixStream::from(fd))
}

/// `getsockopt(2)` with `SO_PEERCRED`: process, user, group.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of_socklen::<libc::ucred>();
    // SAFETY: the kernel writes at most `length` bytes into a live `ucred` of that size.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    })?;
    Ok((credentials.pid, credentials.uid, credentials.gid))
}

/// A control message with a descriptor for the sender, which the kernel adds where `SO_PASSPIDFD` is set; libc has no name for
/// it.
const SCM_PIDFD: i32 = 4;

/// Room for one control message with [`MAX_FDS`] descriptors, aligned for its header, and for what the kernel may add.
#[repr(C)]
union Control {
    header: libc::cmsghdr,
    bytes: [u8; CONTROL_BYTES],
}

/// The descriptors, the sender's credentials and its pidfd.
const CONTROL_BYTES: usize = space(MAX_FDS * mem::size_of::<RawFd>())
    + space(mem::size_of::<libc::ucred>())
    + space(mem::size_of::<RawFd>());

/// What `CMSG_SPACE` gives, which is not const: a header and its data, padded.
const fn space(data: usize) -> usize {
    mem::size_of::<libc::cmsghdr>() + data.next_multiple_of(mem::align_of::<libc::cmsghdr>())
}

/// `sendmsg(2)` with `SCM_RIGHTS`; `data` has at least one byte, `fds` at most [`MAX_FDS`].
pub(crate) fn send_fds(
    socket: BorrowedFd<'_>,
    data: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    fault::check(Call::Send)?;
    let mut control = Control { bytes: [0; CONTROL_BYTES] };
    let mut slice = libc::iovec { iov_base: data.as_ptr().cast_mut().cast(), iov_len: data.len() };
    // SAFETY: all zeros is a valid `msghdr`: null pointers and zero lengths.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let size = u32::try_from(mem::size_of_val(fds)).expect("at most 253 descriptors");
        message.msg_control = (&raw mut control).cast();
        // SAFETY: a computation without memory.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as usize;
        // SAFETY: the control buffer is larger than a header, so this points to its beginning.
        let header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
        // SAFETY: a computation without memory.
        let length = unsafe { libc::CMSG_LEN(size) } as usize;
        let head = libc::cmsghdr {
            cmsg_len: length,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        };
        // SAFETY: it points to the beginning of `control`, which is aligned for a header and larger.
        unsafe { header.write(head) };
        // SAFETY: the header is in the buffer, so its data is.
        let place = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: a borrowed descriptor is an int by its documentation; `control` has room for 253 behind the header.
        unsafe {
            place.copy_from_nonoverlapping(fds.as_ptr().cast(), mem::size_of_val(fds));
        }
    }
    // SAFETY: everything that the message points to lives for the whole call, with the lengths that it says.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// `recvmsg(2)` with `MSG_CMSG_CLOEXEC`: how many bytes came, and the descriptors that came with them.
pub(crate) fn recv_fds(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    fault::check(Call::Recv)?;
    let mut control = Control { bytes: [0; CONTROL_BYTES] };
    let mut slice = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: all zeros is a valid `msghdr`: null pointers and zero lengths.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = CONTROL_BYTES;
    // SAFETY: everything that the message points to lives for the whole call, with the lengths that it says.
    let received =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    let fds = take_fds(&message);
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        let text = format!("descriptors were dropped by the kernel, {} came", fds.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok((received, fds))
}

/// Takes over the descriptors of a message that was just received.
fn take_fds(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled the control buffer and set its length.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: it points to a header that the kernel has written.
        let head = unsafe { header.read() };
        // A pidfd is ours as well, and nobody has asked for it: it is closed.
        let are_sent = head.cmsg_type == libc::SCM_RIGHTS;
        if head.cmsg_level == libc::SOL_SOCKET && (are_sent || head.cmsg_type == SCM_PIDFD) {
            // SAFETY: a computation without memory.
            let bytes = head.cmsg_len - unsafe { libc::CMSG_LEN(0) } as usize;
            // SAFETY: as the header, so its data.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<RawFd>();
            for index in 0..bytes / mem::size_of::<RawFd>() {
                // SAFETY: the message's length says that so many descriptors are there.
                let place = unsafe { data.add(index) };
                // SAFETY: as above; the place may not be aligned.
                let fd = unsafe { place.read_unaligned() };
                if fd < 0 {
                    continue; // the sender is gone, and its pidfd is an error
                }
                // SAFETY: the kernel has just made this descriptor for us; nobody else knows its number.
                let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                fds.extend(are_sent.then_some(fd));
            }
        }
        // SAFETY: both point into the buffer that the kernel has filled.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    fds
}
