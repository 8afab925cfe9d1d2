//! The news that a server drains.

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

    pub(crate) fn begin(&self) {
        let _ = self.0.set_result(()); // a second drain is no news
    }
}
