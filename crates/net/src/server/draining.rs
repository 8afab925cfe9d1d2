//! The news that a server drains.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;

use squall_executor::future::Future;

/// Tells handlers that their server [drains](crate::Server::drain); clones are the same news.
#[derive(Clone, Debug, Default)]
pub struct Draining(Future<()>);

impl Draining {
    /// Waits until draining begins.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn begun(&self) {
        let _ = self.0.ready().await; // nobody cancels it
    }

    /// Tells whether draining has begun.
    pub fn has_begun(&self) -> bool {
        self.0.done()
    }

    /// Waits for `work`, or until draining begins; then `None`, and the work is dropped. So does an idle connection end at once.
    ///
    /// # Cancel safety
    /// As safe as `work`.
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
        let _ = self.0.set_result(()); // a second drain is no news
    }
}
