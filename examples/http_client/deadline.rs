//! A point in time at which a fetch gives up.

use std::time::{Duration, Instant};

use squall_net::{now, timeout_at};

use crate::fetch_error::FetchError;

/// A deadline; `None` if there is no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// The time `limit` from now. Zero means no limit.
    pub(crate) fn after(limit: Duration) -> Deadline {
        Deadline(if limit.is_zero() { None } else { now().checked_add(limit) })
    }

    /// Runs `future`. Fails with `error` if the future is not ready at the deadline.
    pub(crate) async fn limit<T>(
        self,
        error: FetchError,
        future: impl Future<Output = Result<T, FetchError>>,
    ) -> Result<T, FetchError> {
        match self.0 {
            Some(deadline) => timeout_at(deadline, future).await.unwrap_or(Err(error)),
            None => future.await,
        }
    }
}
