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

/// The most jobs of one [`Root`] at the same time. A job goes on when its client has left, so a slow
/// disk must not let clients queue more and more of them.
const MAX_JOBS: usize = 256;

/// The directory that files are opened in.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    directory: Arc<OwnedFd>,
    /// Each job that waits or runs has a clone.
    jobs: Arc<()>,
}

impl Root {
    pub(crate) fn new(directory: OwnedFd) -> Root {
        Root { directory: Arc::new(directory), jobs: Arc::new(()) }
    }

    /// Runs a job on another thread, unless too many wait already.
    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        if Arc::strong_count(&self.jobs) > MAX_JOBS {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "too many files are waited for",
            ));
        }
        let counted = Arc::clone(&self.jobs);
        let job = move || {
            let output = job();
            drop(counted);
            output
        };
        Ok(spawn_blocking(job).await?)
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct CachedFile {
    root: Root,
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
    /// As `openat2`, but for the errors that say that there is no such file for this user;
    /// `ResourceBusy` if too many files are waited for.
    pub(crate) async fn open(root: &Root, path: &str) -> io::Result<Found> {
        let opened = match open(&root.directory, path, ResolveFlags::CACHED) {
            // The kernel does not have the names in memory, or is older than 5.12.
            Err(Errno::AGAIN | Errno::INVAL) => {
                let (directory, path) = (Arc::clone(&root.directory), path.to_owned());
                root.run(move || open(directory, &path, ResolveFlags::empty())).await?
            }
            opened => opened,
        };
        found(root, opened)
    }

    /// The bytes of this range, in pieces. A file that has become shorter is an error.
    pub(crate) fn pieces(self, range: ByteRange) -> impl Stream<Item = io::Result<Bytes>> {
        stream::try_unfold((self, range), async |(file, mut range)| {
            if range.start == range.end {
                return Ok(None);
            }
            let piece = file.read(range.start, PIECE.min(range.end - range.start)).await?;
            range.start += piece.len() as u64;
            Ok(Some((piece, (file, range))))
        })
    }

    /// Reads at most `length` bytes, at least one.
    async fn read(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut buffer = vec![0; length];
        // Returns what is in the page cache, and does not wait for the disk.
        let slices = &mut [IoSliceMut::new(&mut buffer)];
        let read = match preadv2(&*self.file, slices, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) if read > 0 => read,
            Ok(_) | Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => {
                drop(buffer);
                let file = Arc::clone(&self.file);
                let job = move || {
                    let mut buffer = vec![0; length];
                    file.read_at(&mut buffer, offset).map(|read| (read, buffer))
                };
                let (read, filled) = self.root.run(job).await??;
                buffer = filled;
                read
            }
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file has become shorter",
            ));
        }
        buffer.truncate(read);
        Ok(buffer.into())
    }
}

fn open(root: impl AsFd, path: &str, cached: ResolveFlags) -> Result<OwnedFd, Errno> {
    // A FIFO must not make `open` wait, nor a terminal become that of this process.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | cached;
    openat2(root, path, flags, Mode::empty(), resolve)
}

fn found(root: &Root, opened: Result<OwnedFd, Errno>) -> io::Result<Found> {
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
        Found::File(CachedFile { root: root.clone(), file: Arc::new(file), length, modified })
    } else {
        Found::Nothing
    })
}
