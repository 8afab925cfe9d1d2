//! A file that is read without a thread as far as the kernel has it in memory.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_lite::{Stream, stream};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use squall_net::spawn_blocking;

use crate::application::byte_range::ByteRange;

/// The bytes of a file that are read and sent at a time.
const PIECE: u64 = 64 << 10;

/// An open file.
#[derive(Debug)]
pub(crate) struct CachedFile {
    file: Arc<File>,
    /// When the file was opened.
    pub(crate) length: u64,
    pub(crate) modified: SystemTime,
}

/// What a path leads to.
pub(crate) enum Found {
    File(CachedFile),
    Directory,
    Nothing,
}

impl CachedFile {
    /// Opens a file beneath `root`.
    ///
    /// # Errors
    /// As `openat2`, but for the errors that say that there is no such file for this user.
    pub(crate) async fn open(root: &OwnedFd, path: &str) -> io::Result<Found> {
        match open(root, path, ResolveFlags::CACHED) {
            Err(Errno::AGAIN) => {
                let (root, path) = (root.try_clone()?, path.to_owned());
                let opened = spawn_blocking(move || open(root, &path, ResolveFlags::empty()));
                found(opened.await?)
            }
            opened => found(opened),
        }
    }

    /// The bytes of this range, in pieces. A file that has become shorter is an error.
    pub(crate) fn pieces(self, range: ByteRange) -> impl Stream<Item = io::Result<Bytes>> {
        stream::try_unfold((self.file, range), async |(file, mut range)| {
            if range.start == range.end {
                return Ok(None);
            }
            let piece = read(&file, range.start, PIECE.min(range.end - range.start)).await?;
            range.start += piece.len() as u64;
            Ok(Some((piece, (file, range))))
        })
    }
}

fn open(root: impl AsFd, path: &str, cached: ResolveFlags) -> Result<OwnedFd, Errno> {
    // A FIFO must not make `open` wait.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | cached;
    openat2(root, path, flags, Mode::empty(), resolve)
}

fn found(opened: Result<OwnedFd, Errno>) -> io::Result<Found> {
    let file = match opened {
        Ok(file) => File::from(file),
        Err(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::INVAL
            | Errno::NAMETOOLONG
            | Errno::ACCESS
            | Errno::NXIO,
        ) => return Ok(Found::Nothing),
        Err(error) => return Err(error.into()),
    };
    let metadata = file.metadata()?;
    Ok(if metadata.is_dir() {
        Found::Directory
    } else if metadata.is_file() {
        let (length, modified) = (metadata.len(), metadata.modified()?);
        Found::File(CachedFile { file: Arc::new(file), length, modified })
    } else {
        Found::Nothing
    })
}

/// Reads at most `length` bytes, at least one.
async fn read(file: &Arc<File>, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    // Returns what is in the page cache, and does not wait for the disk.
    let slices = &mut [IoSliceMut::new(&mut buffer)];
    let read = match preadv2(&**file, slices, offset, ReadWriteFlags::NOWAIT) {
        Ok(read) if read > 0 => read,
        Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP) => {
            let file = Arc::clone(file);
            let job = spawn_blocking(move || (file.read_at(&mut buffer, offset), buffer));
            let (read, returned) = job.await?;
            buffer = returned;
            read?
        }
        Err(error) => return Err(error.into()),
    };
    if read == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
    }
    buffer.truncate(read);
    Ok(buffer.into())
}
