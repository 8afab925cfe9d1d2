//! hyper's executor.

use std::future::Future;

use hyper::rt;
use squall_executor::spawn;

/// Spawns hyper's futures as tasks of this thread's loop. The futures need not be `Send`.
///
/// HTTP/2 needs an executor: each request of a connection runs in a task of its own. A task ends
/// when its request is answered, or when the client has reset it or is gone. A panic of a task is
/// reported as that of any [detached task](squall_executor::spawn) is.
///
/// ```
/// use hyper::rt::Executor as _;
/// use squall_net::hyper::Executor;
/// use squall_net::{block_on, duplex, IoStream};
///
/// block_on(async {
///     let (here, there) = duplex(64);
///     let (mut here, mut there) = (IoStream::new(here), IoStream::new(there)); // not `Send`
///     Executor.execute(async move { there.write_all(b"hello").await });
///     assert_eq!(here.read_bytes(5).await?, "hello");
///     Ok::<(), squall_net::StreamError>(())
/// })?;
/// # Ok::<(), squall_net::StreamError>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Executor;

impl<F: Future + 'static> rt::Executor<F> for Executor {
    /// Spawns `future`, detached.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    fn execute(&self, future: F) {
        drop(spawn(future));
    }
}
