//! Connections that stay open.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{WATCHDOG, connect};
use crate::service::REQUEST;

/// Opens connections and returns them. Every other connection has had one request answered.
pub(crate) fn hold(address: SocketAddr, connections: usize) -> io::Result<Vec<TcpStream>> {
    let open = |n: usize| {
        let mut socket = connect(address)?;
        if n % 2 == 1 {
            socket.set_read_timeout(Some(WATCHDOG))?;
            socket.write_all(&[b'x'; REQUEST])?;
            socket.read_exact(&mut [0; REQUEST])?;
        }
        Ok(socket)
    };
    (0..connections).map(open).collect()
}
