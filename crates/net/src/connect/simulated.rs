//! Connects through the kernel, or from a simulated host.

use std::io;
use std::net::{SocketAddr, TcpStream};

use squall_executor::AsyncFd;

use crate::connect::connect::connect_by_kernel;
use crate::sim::current;
use crate::sim::stream::SimulatedStream;

/// A connected socket of the kernel, or a simulated one.
pub(crate) enum Connected {
    Kernel(AsyncFd<TcpStream>),
    Simulated(SimulatedStream),
}

pub(crate) async fn connect_to(to: SocketAddr, from: Option<SocketAddr>) -> io::Result<Connected> {
    Ok(match current::place() {
        None => Connected::Kernel(connect_by_kernel(to, from).await?),
        Some(place) => Connected::Simulated(SimulatedStream::connect(place, to, from).await?),
    })
}
