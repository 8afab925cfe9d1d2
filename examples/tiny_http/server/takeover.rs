//! What goes on with a connection after its last response.

use std::any::{Any, TypeId};
use std::fmt;
use std::io;
use std::pin::Pin;

use squall_net::IoStream;

/// A function that takes the stream of a connection over. Responses are the same type on every
/// transport, so the function's transport is known at run time only.
pub(crate) struct Takeover {
    /// The type of the function's stream.
    stream: TypeId,
    run: Box<dyn FnOnce(Box<dyn Any>) -> Running>,
}

pub(crate) type Running = Pin<Box<dyn Future<Output = io::Result<()>>>>;

impl Takeover {
    pub(crate) fn new<S, F>(run: F) -> Takeover
    where
        S: 'static,
        F: AsyncFnOnce(IoStream<S>) -> io::Result<()> + 'static,
    {
        let run = Box::new(|stream: Box<dyn Any>| -> Running {
            Box::pin(async move {
                match stream.downcast::<IoStream<S>>() {
                    Ok(stream) => run(*stream).await,
                    Err(_) => Err(io::ErrorKind::Unsupported.into()),
                }
            })
        });
        Takeover { stream: TypeId::of::<IoStream<S>>(), run }
    }

    /// Whether the function takes streams over this transport.
    pub(crate) fn takes<S: 'static>(&self) -> bool {
        self.stream == TypeId::of::<IoStream<S>>()
    }

    pub(crate) fn run<S: 'static>(self, stream: IoStream<S>) -> Running {
        (self.run)(Box::new(stream))
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Takeover").finish_non_exhaustive()
    }
}
