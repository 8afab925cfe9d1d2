//! A close that does not reset the connection while the peer still sends.

use std::io;
use std::time::Duration;

use futures_io::{AsyncRead, AsyncWrite};
use squall_executor::timeout;

use crate::stream::io_stream::IoStream;
use crate::stream::stream_error::StreamError;

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> IoStream<S> {
    /// Ends the stream so that the peer receives all of it, even if the peer is still sending.
    ///
    /// First [shuts down](Self::shutdown). Then reads and discards bytes until the peer closes or
    /// `max_bytes` have arrived. All of this takes at most `limit`.
    ///
    /// A socket that is closed with unread bytes, or that receives bytes after the close, sends a
    /// reset. The reset destroys what the peer has not read yet.
    ///
    /// # Errors
    /// As [`shutdown`](Self::shutdown), and `TimedOut` as the cause if the peer did not accept the
    /// queued bytes in time.
    pub async fn linger(&mut self, max_bytes: usize, limit: Duration) -> Result<(), StreamError> {
        let mut is_shut_down = false;
        let shut_down_and_drain = async {
            self.shutdown().await?;
            is_shut_down = true;
            let mut left = max_bytes;
            while left > 0 {
                self.consume(self.buffer().len());
                match self.fill().await {
                    Ok(n) if n > 0 => left = left.saturating_sub(n),
                    _ => break, // the peer's end or an error
                }
            }
            Ok(())
        };
        match timeout(limit, shut_down_and_drain).await {
            Ok(outcome) => outcome,
            Err(_) if is_shut_down => Ok(()),
            Err(elapsed) => Err(io::Error::from(elapsed).into()),
        }
    }
}
