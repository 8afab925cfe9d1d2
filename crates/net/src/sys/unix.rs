//! System calls for Unix sockets: connections, descriptors sent with bytes, and the peer's
//! credentials. Also the lock of a socket path.

#![allow(
    unsafe_code,
    reason = "rustix leaves out credentials with pid 0, and pidfds that the kernel adds"
)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use squall_executor::fault::{self, Call};

use super::address::for_kernel;
use super::process::check;
use super::socket;

/// The maximum number of descriptors in a message (`SCM_MAX_FD`).
pub(crate) const MAX_FDS: usize = 253;

/// `accept4(2)`, close-on-exec, and made non-blocking.
pub(crate) fn accept_unix(listener: &UnixListener) -> io::Result<(UnixStream, SocketAddr)> {
    fault::check(Call::Accept)?;
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}

/// `socket(2)` and `bind(2)`, close-on-exec and non-blocking. The socket does not listen, so no
/// client can connect before [`set_backlog`](super::set_backlog).
pub(crate) fn bind_unix(to: &SocketAddr) -> io::Result<UnixListener> {
    let address = for_kernel(to)?;
    let fd = socket(AddressFamily::UNIX)?;
    net::bind(&fd, &address)?;
    Ok(UnixListener::from(fd))
}

/// `socket(2)` and `connect(2)`, close-on-exec and non-blocking. Returns a connected socket, or
/// `WouldBlock` if the listener's queue is full.
pub(crate) fn connect_unix(to: &SocketAddr) -> io::Result<UnixStream> {
    let address = for_kernel(to)?;
    let fd = socket(AddressFamily::UNIX)?;
    fault::check(Call::Connect)?;
    net::connect(&fd, &address)?;
    Ok(UnixStream::from(fd))
}

/// `getsockopt(2)` with `SO_PEERCRED`: returns the peer's process, user and group IDs. The process
/// ID is 0 if the peer is outside this process's PID namespace; rustix's type for credentials
/// cannot hold 0.
pub(crate) fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<(i32, u32, u32)> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = 12;
    const { assert!(mem::size_of::<libc::ucred>() == 12) };
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

/// The type of a control message with a pidfd of the sender. The kernel adds this message if
/// `SO_PASSPIDFD` is set. libc does not define the constant.
const SCM_PIDFD: i32 = 4;

/// Room for [`MAX_FDS`] descriptors, and for the sender's credentials and pidfd, which the kernel
/// may add.
const CONTROL_BYTES: usize =
    rustix::cmsg_space!(ScmRights(MAX_FDS), ScmCredentials(1), ScmRights(1));

/// A buffer for control messages, aligned for their headers.
#[repr(C, align(8))]
struct Control([MaybeUninit<u8>; CONTROL_BYTES]);

impl Control {
    fn new() -> Control {
        Control([MaybeUninit::new(0); CONTROL_BYTES])
    }
}

/// `sendmsg(2)` with `SCM_RIGHTS`. `data` has at least one byte, and `fds` has at most [`MAX_FDS`]
/// descriptors.
pub(crate) fn send_fds(
    socket: BorrowedFd<'_>,
    data: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    fault::check(Call::Send)?;
    let mut control = Control::new();
    let mut messages = SendAncillaryBuffer::new(&mut control.0);
    if !fds.is_empty() {
        let fits = messages.push(SendAncillaryMessage::ScmRights(fds));
        assert!(fits, "the buffer has room for {MAX_FDS} descriptors");
    }
    Ok(net::sendmsg(socket, &[IoSlice::new(data)], &mut messages, SendFlags::NOSIGNAL)?)
}

/// `recvmsg(2)` with `MSG_CMSG_CLOEXEC`: returns the number of bytes, and the descriptors that came
/// with them.
///
/// # Errors
/// `InvalidData` if the kernel dropped descriptors, for example for lack of free descriptor
/// numbers. The descriptors that came are closed.
pub(crate) fn recv_fds(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    fault::check(Call::Recv)?;
    let mut control = Control::new();
    let mut messages = RecvAncillaryBuffer::new(&mut control.0);
    let into = &mut [IoSliceMut::new(into)];
    let received = net::recvmsg(socket, into, &mut messages, RecvFlags::CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in messages.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            fds.extend(sent);
        }
    }
    drop(messages);
    close_pidfd(&control);
    if received.flags.contains(ReturnFlags::CTRUNC) {
        let text = format!("the kernel dropped descriptors, only {} came", fds.len());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok((received.bytes, fds))
}

/// Closes the sender's pidfd if the kernel has added it. rustix ignores that control message.
fn close_pidfd(control: &Control) {
    // SAFETY: `Control::new` has initialised every byte.
    let bytes = control.0.map(|byte| unsafe { byte.assume_init() });
    let field = |at: usize| bytes[at..at + 4].try_into().map_or(0, i32::from_ne_bytes);
    let mut start = 0;
    // A message is its length (a `usize` that counts the header too), its level, its type and its
    // data. After the last message, the buffer still has the zeros of `Control::new`, so the next
    // length is 0.
    while let Some(length) = bytes.get(start..start + HEADER_BYTES) {
        let length =
            usize::from_ne_bytes(*length.first_chunk().expect("a header is longer than a length"));
        let (level, kind) =
            (field(start + mem::size_of::<usize>()), field(start + HEADER_BYTES - 4));
        if length < HEADER_BYTES {
            return;
        }
        // A truncated message has no descriptor.
        if (level, kind) == (libc::SOL_SOCKET, SCM_PIDFD) && length >= HEADER_BYTES + 4 {
            let fd: RawFd = field(start + HEADER_BYTES);
            if fd >= 0 {
                // SAFETY: the kernel has just made this descriptor for us, and no other code knows
                // its number.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
            } // else the sender has ended, and the number is an error code
        }
        start += length.next_multiple_of(mem::align_of::<usize>());
    }
}

const HEADER_BYTES: usize = mem::size_of::<usize>() + 2 * mem::size_of::<i32>();
