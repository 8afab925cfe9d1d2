//! The limits of a stream.

use std::rc::Rc;
use std::time::Duration;

use crate::buffer::segment::SEGMENT_SIZE;

/// The limits of an [`IoStream`](crate::IoStream)'s buffers and reads. Each setter takes and
/// returns the configuration by value.
///
/// ```
/// use squall_net::StreamConfig;
/// let config =
///     StreamConfig::default().max_buffer_size(1 << 20).max_write_buffer_size(Some(1 << 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    pub(crate) max_buffer_size: usize,
    pub(crate) read_chunk_size: usize,
    pub(crate) max_write_buffer_size: Option<usize>,
    /// The time for sending what is queued, after a server's handler has ended.
    pub(crate) flush_deadline: Duration,
}

impl Default for StreamConfig {
    fn default() -> StreamConfig {
        StreamConfig::DEFAULT
    }
}

impl StreamConfig {
    pub(crate) const DEFAULT: StreamConfig = StreamConfig {
        max_buffer_size: 100 << 20,
        read_chunk_size: SEGMENT_SIZE,
        max_write_buffer_size: None,
        flush_deadline: Duration::from_secs(30),
    };

    /// Makes a copy that many streams can share. Returns `None` for the default limits.
    pub(crate) fn shared(self) -> Option<Rc<StreamConfig>> {
        (self != StreamConfig::DEFAULT).then(|| Rc::new(self))
    }

    /// Whether a read into the empty buffer asks for exactly one pooled segment.
    pub(crate) fn reads_whole_segments(&self) -> bool {
        self.max_buffer_size >= SEGMENT_SIZE && self.read_chunk_size == SEGMENT_SIZE
    }

    /// Sets the size limit of the read buffer in bytes, which is also the limit of one read. At
    /// least 1; 100 MiB by default.
    pub fn max_buffer_size(mut self, bytes: usize) -> StreamConfig {
        self.max_buffer_size = bytes.max(1);
        self
    }

    /// Sets the most bytes that one read asks the kernel for: 1 byte to 1 MiB, 64 KiB by default.
    pub fn read_chunk_size(mut self, bytes: usize) -> StreamConfig {
        self.read_chunk_size = bytes.clamp(1, 1 << 20);
        self
    }

    /// Sets the most bytes that may be queued for writing. `None`, the default, is no limit.
    pub fn max_write_buffer_size(mut self, bytes: Option<usize>) -> StreamConfig {
        self.max_write_buffer_size = bytes;
        self
    }
}
