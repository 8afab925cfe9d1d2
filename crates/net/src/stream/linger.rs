//! A close that the peer cannot mistake for a reset.

use std::io;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::timeout;

use crate::stream::io_stream::IoStream;
use crate::stream::stream_error::StreamError;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> IoStream<S> {
    /// Ends the stream so that the peer gets all of it, even while it is still sending: [shuts down](Self::shutdown), then
    /// reads and forgets what comes, until the peer closes, `max_bytes` came or `limit` has passed in all.
    ///
    /// A socket that is closed with unread bytes in it, or that gets more of them then, sends a reset, which destroys what
    /// the peer has not read yet.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown), and `TimedOut` as the cause if the peer did not take what was queued in time.
    pub async fn linger(&mut self, max_bytes: usize, limit: Duration) -> Result<(), StreamError> {
        let mut is_shut_down = false;
        let act = async {
            self.shutdown().await?;
            is_shut_down = true;
            let mut left = max_bytes;
            while left > 0 {
                self.consume(self.buffer().len());
                match self.fill().await {
                    Ok(n) if n > 0 => left = left.saturating_sub(n),
                    _ => break, // the peer is done, in whatever way
                }
            }
            Ok(())
        };
        match timeout(limit, act).await {
            Ok(outcome) => outcome,
            Err(_) if is_shut_down => Ok(()),
            Err(elapsed) => Err(io::Error::from(elapsed).into()),
        }
    }
}
