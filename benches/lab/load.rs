//! The load: the clients of a server, on an epoll loop of their own.

mod answer;
mod churn;
mod hold;
mod open_loop;
mod ping_pong;
mod poller;
mod transfer;
mod until;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_tcp_congestion;

use crate::service::CONGESTION_CONTROL;

pub(crate) use churn::Churn;
pub(crate) use hold::hold;
pub(crate) use open_loop::{OpenLoop, Outcome};
pub(crate) use ping_pong::PingPong;
pub(crate) use transfer::{drain, fill};
pub(crate) use until::Until;

/// The server has failed if it does not answer for this time.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(60);

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    set_tcp_congestion(&stream, CONGESTION_CONTROL)?;
    Ok(stream)
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed a connection")
}
