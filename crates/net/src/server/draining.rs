//! Tells handlers that their server has begun to drain.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use squall_executor::future::Future;

/// Tells handlers that their server [drains](crate::Server::drain). Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct Draining(Future<()>);

impl Draining {
    /// Waits until draining begins.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn begun(&self) {
        let _ = self.0.ready().await; // this future is never cancelled
    }

    /// Whether draining has begun.
    pub fn has_begun(&self) -> bool {
        self.0.done()
    }

    /// Waits for `work` and returns its output. If draining begins first, drops `work` and returns
    /// `None`. A handler uses this to end an idle connection at once.
    ///
    /// # Cancel safety
    /// Cancel safe if `work` is.
    pub async fn unless_begun<T>(&self, work: impl std::future::Future<Output = T>) -> Option<T> {
        let (mut work, mut begun) = (pin!(work), pin!(self.begun()));
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            begun.as_mut().poll(cx).map(|()| None)
        })
        .await
    }

    pub(crate) fn begin(&self) {
        let _ = self.0.set_result(()); // fails on a second drain, which changes nothing
    }
}
