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
use crate::server::piece::{FilePart, Piece};

/// The bytes of a file that are sent at a time.
const PIECE: u64 = 256 << 10;

/// Fewer bytes than these are copied, so that they leave together with the head.
const SMALLEST_PART: u64 = 32 << 10;

/// The smallest page of Linux.
const PAGE: u64 = 4 << 10;

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
    pub(crate) fn pieces(self, range: ByteRange) -> impl Stream<Item = io::Result<Piece>> {
        stream::try_unfold((self, range), async |(file, mut range)| {
            if range.start == range.end {
                return Ok(None);
            }
            let end = range.end.min(range.start.saturating_add(PIECE));
            let piece = if end - range.start < SMALLEST_PART {
                file.read(range.start, end - range.start).await?.into()
            } else {
                file.load(range.start, end).await?;
                let (file, start) = (Arc::clone(&file.file), range.start);
                Piece::File(FilePart { file, start, end })
            };
            range.start += piece.len();
            Ok(Some((piece, (file, range))))
        })
    }

    /// Waits until the kernel has a part of the file in memory.
    async fn load(&self, start: u64, end: u64) -> io::Result<()> {
        if is_loaded(&self.file, start, end) {
            return Ok(());
        }
        let file = Arc::clone(&self.file);
        self.root.run(move || load(&file, start, end)).await?
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

/// Whether the kernel has a part of a file in memory: asks for a byte of each page.
fn is_loaded(file: &File, start: u64, end: u64) -> bool {
    let mut byte = [0];
    (start / PAGE..=(end - 1) / PAGE).all(|page| {
        let slices = &mut [IoSliceMut::new(&mut byte)];
        preadv2(file, slices, page * PAGE, ReadWriteFlags::NOWAIT).is_ok()
    })
}

/// Reads a part of a file, for the kernel to have it in memory.
fn load(file: &File, mut start: u64, end: u64) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    while start < end {
        match file.read_at(&mut buffer, start)? {
            0 => break, // it has become shorter, which the sending finds out
            read => start += read as u64,
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use rustix::fs::{Advice, fadvise};

    use super::*;

    #[test]
    fn what_the_kernel_has_dropped_is_loaded_again() {
        let name = format!("squall-dropped-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, vec![1; 100_000]).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.sync_all().unwrap();
        assert!(is_loaded(&file, 0, 100_000));
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        if is_loaded(&file, 0, 100_000) {
            println!("skipped: this file system drops nothing from memory");
            return;
        }
        load(&file, 0, 100_000).unwrap();
        assert!(is_loaded(&file, 0, 100_000));
        assert!(is_loaded(&file, 4095, 4097) && is_loaded(&file, 99_999, 100_000));
    }
}
