//! Large transfers: bytes to the server, and bytes from it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::event::epoll::EventFlags;

use super::poller::Poller;
use super::{WATCHDOG, connect, ended};
use crate::service::CHUNK;

/// Sends `each` bytes on every one of `streams` connections, and waits until the server has closed
/// them.
pub(crate) fn fill(address: SocketAddr, streams: usize, each: usize) -> io::Result<()> {
    let chunk = vec![b'x'; CHUNK];
    transfer(address, streams, each, EventFlags::OUT, |socket, left| {
        let n = socket.write(&chunk[..CHUNK.min(*left)])?;
        *left -= n;
        if *left == 0 {
            socket.shutdown(std::net::Shutdown::Write)?;
        }
        Ok(n > 0)
    })
}

/// Requests `each` bytes on every one of `streams` connections, and reads them all.
pub(crate) fn drain(address: SocketAddr, streams: usize, each: usize) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    transfer(address, streams, each, EventFlags::IN, move |socket, left| {
        let n = socket.read(&mut chunk)?;
        *left = left
            .checked_sub(n)
            .ok_or_else(|| io::Error::other("more bytes came than were requested"))?;
        if n == 0 && *left > 0 { Err(ended()) } else { Ok(n > 0) }
    })
}

/// Calls `step` with each ready socket and the number of bytes left, until none are left. Then
/// waits until the server closes.
fn transfer(
    address: SocketAddr,
    streams: usize,
    each: usize,
    flags: EventFlags,
    mut step: impl FnMut(&mut TcpStream, &mut usize) -> io::Result<bool>,
) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let mut sockets = Vec::new();
    for index in 0..streams {
        let mut socket = connect(address)?;
        if flags == EventFlags::IN {
            socket.write_all(&(each as u64).to_le_bytes())?;
        }
        poller.add(&socket, index, flags)?;
        sockets.push((socket, each));
    }
    let mut open = streams;
    while open > 0 {
        let ready: Vec<_> = poller.wait()?.collect();
        for index in ready {
            let (socket, left) = &mut sockets[index];
            while *left > 0 {
                match step(socket, left) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
            if *left == 0 {
                poller.remove(socket)?;
                open -= 1;
            }
        }
    }
    for (mut socket, _) in sockets {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(WATCHDOG))?;
        if socket.read(&mut [0])? > 0 {
            return Err(io::Error::other("more bytes came than were requested"));
        }
    }
    Ok(())
}
