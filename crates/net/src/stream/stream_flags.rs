//! The properties of a stream that are true or false, in one byte.

use std::cell::Cell;

/// A set of the flags below.
pub(crate) struct StreamFlags(Cell<u8>);

impl StreamFlags {
    /// This side has closed the stream.
    pub(crate) const CLOSED: u8 = 1;
    /// The peer has ended the stream, as far as the transport has been read.
    pub(crate) const READ_ENDED: u8 = 2;
    /// A close watcher exists.
    pub(crate) const WATCHED: u8 = 4;
    /// A read into the empty buffer may not ask for a whole segment, or may ask for more.
    pub(crate) const OTHER_READ_SIZE: u8 = 8;
    /// Different tasks may use the halves.
    pub(crate) const SPLIT: u8 = 16;
    /// A `read_until_close` has succeeded. The next call fails.
    pub(crate) const READ_TO_END: u8 = 32;
    /// The writing direction has ended in order, after everything that was written.
    pub(crate) const WRITE_ENDED: u8 = 64;
    /// The server's handler, which owns the stream, is polled now or has just returned. What is
    /// written then is sent afterwards.
    pub(crate) const IN_HANDLER: u8 = 128;

    /// With none of these, a read into the empty buffer takes what the transport has, at most a
    /// segment.
    pub(crate) const READS_OTHERWISE: u8 =
        Self::CLOSED | Self::READ_ENDED | Self::WATCHED | Self::OTHER_READ_SIZE;

    pub(crate) fn new(flags: u8) -> StreamFlags {
        StreamFlags(Cell::new(flags))
    }

    #[inline]
    pub(crate) fn has_any(&self, flags: u8) -> bool {
        self.0.get() & flags != 0
    }

    #[inline]
    pub(crate) fn set(&self, flag: u8, is_set: bool) {
        let others = self.0.get() & !flag;
        self.0.set(if is_set { others | flag } else { others });
    }
}
