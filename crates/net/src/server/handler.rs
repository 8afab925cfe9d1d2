//! The task of a connection: runs the user's handler and ends the stream as its result says.

use std::io;
use std::rc::Rc;

use squall_executor::{JoinHandle, spawn_with};

use crate::server::connections::ConnectionGuard;
use crate::socket::listener::Listener;
use crate::stream::io_stream::IoStream;
use crate::stream::served_stream::{Handling, ServedStream, is_end_of_peer};

/// A user's handler with its type erased. It spawns the task itself, so that the handler's future
/// needs no box.
pub(crate) trait Handler<L: Listener> {
    /// Spawns the task of a connection.
    ///
    /// Takes a `ServedStream`, which is smaller than an `IoStream`, because the task stores the
    /// argument until the handler has returned.
    fn start(
        self: Rc<Self>,
        stream: ServedStream<L::Stream>,
        peer: L::Peer,
        guard: ConnectionGuard<L::Peer>,
    ) -> JoinHandle<()>;
}

impl<L, H> Handler<L> for H
where
    L: Listener,
    H: AsyncFn(IoStream<L::Stream>, L::Peer) -> io::Result<()> + 'static,
{
    fn start(
        self: Rc<Self>,
        stream: ServedStream<L::Stream>,
        peer: L::Peer,
        guard: ConnectionGuard<L::Peer>,
    ) -> JoinHandle<()> {
        let peer = L::pack(&peer); // the task stores it until the handler has returned
        spawn_with(move || async move {
            let handler = self(stream.stream(), L::unpack(&peer));
            let (result, stream) = Handling { handler, stream: Some(stream) }.await;
            if let Err(error) = &result {
                // The guard is dropped with the future.
                guard.connections.report(&L::unpack(&peer), error);
            }
            let is_ok = result.err().as_ref().is_none_or(is_end_of_peer);
            if let Some(finish) = stream.and_then(|stream| stream.end(is_ok)) {
                finish.await;
            }
        })
    }
}
