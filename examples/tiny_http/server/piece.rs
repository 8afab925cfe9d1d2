//! A piece of a streamed body.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

/// Bytes, or a part of a file.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Bytes),
    File(FilePart),
}

impl Piece {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File(part) => part.len(),
        }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Piece {
        Piece::Bytes(bytes)
    }
}

/// A part of a file that the kernel has in memory, so that it can be sent without waiting for a disk
/// and without a copy in this process.
#[derive(Debug)]
pub(crate) struct FilePart {
    pub(crate) file: Arc<File>,
    /// The next byte to send; at most `end`.
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl FilePart {
    pub(crate) fn len(&self) -> u64 {
        self.end - self.start
    }

    /// The bytes of the part, for a transport that is no socket of the kernel's.
    ///
    /// # Errors
    /// As `pread`; `UnexpectedEof` if the file has become shorter.
    pub(crate) fn read(&self) -> io::Result<Bytes> {
        let mut bytes = vec![0; usize::try_from(self.len()).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, self.start)?;
        Ok(bytes.into())
    }
}
