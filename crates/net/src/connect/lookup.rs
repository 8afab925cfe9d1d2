//! Finds the addresses of a host without connecting to it.

use std::io;
use std::net::SocketAddr;

use crate::connect::resolver::{Resolver, SystemResolver};
use crate::connect::target::{Kind, Target};

/// Finds the addresses of a host, in the order of the name service. Takes what
/// [`TcpStream::connect`](crate::TcpStream::connect) takes; an address is returned as it is.
///
/// ```
/// use squall_net::{UdpSocket, block_on, lookup};
///
/// block_on(async {
///     let server = UdpSocket::bind("127.0.0.1:0")?;
///     let port = server.local_addr()?.port();
///     let addresses = lookup(("localhost", port)).await?;
///     assert!(addresses.contains(&server.local_addr()?));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// `InvalidInput` for a text that is not of the form `host:port`. `NotFound` for a name that does
/// not exist or has no address, and `HostUnreachable` if the name service fails.
///
/// # Cancel safety
/// A dropped lookup goes on, on its thread, and its answer is dropped.
pub async fn lookup(target: impl Into<Target>) -> io::Result<Vec<SocketAddr>> {
    let target = target.into();
    target.check()?;
    match target.0 {
        Kind::Name { host, port } => SystemResolver.resolve(&host, port).await,
        Kind::Address(address) => Ok(vec![address]),
        Kind::Invalid(_) => Ok(Vec::new()), // `check` has returned an error for it
    }
}
