//! Tells handlers that their server has begun to drain.

use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};

use squall_executor::future::Future;
use squall_executor::{stats, turns, wake_in_next_turn};

/// The turns in which a request that has reached its socket is read: in each, at most 64 reads and
/// 256 KiB.
const TURNS_FOR_A_REQUEST: u32 = 8;

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
    /// A request that had reached the socket before the drain is not lost: when draining begins,
    /// `work` goes on for a few turns of the loop.
    /// But the first request of a client that has just connected may not have reached the socket yet,
    /// and the client sees the connection end without an answer. So wait for a connection's first
    /// request without this method, and limit that wait after [`begun`](Self::begun), for example to
    /// a second.
    ///
    /// # Cancel safety
    /// Cancel safe if `work` is.
    pub async fn unless_begun<T>(&self, work: impl std::future::Future<Output = T>) -> Option<T> {
        let (mut work, mut begun) = (pin!(work), pin!(self.begun()));
        let mut begun_in = None;
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            if begun_in.is_none() {
                ready!(begun.as_mut().poll(cx));
                begun_in = turns();
            }
            match (begun_in, turns()) {
                (Some(first), Some(now)) if now.wrapping_sub(first) < turns_to_hear_of_all() => {
                    wake_in_next_turn(cx.waker());
                    Poll::Pending
                }
                _ => Poll::Ready(None),
            }
        })
        .await
    }

    pub(crate) fn begin(&self) {
        let _ = self.0.set_result(()); // fails on a second drain, which changes nothing
    }
}

/// The turns in which the loop hears of every descriptor that is ready now. In one turn the kernel
/// reports at most 1024.
fn turns_to_hear_of_all() -> u32 {
    TURNS_FOR_A_REQUEST + u32::try_from(stats().live_sources / 1024).unwrap_or(u32::MAX / 2)
}
