//! A picture that is being received.

use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::sync::Arc;

use squall_net::spawn_blocking;

use crate::pictures::picture_kind::PictureKind;
use crate::pictures::removal::Removal;
use crate::random::random_name;

/// How the names of files begin that are still written. [`StaticFiles`] serves no name that begins
/// with a dot.
pub(crate) const PARTIAL_PREFIX: &str = ".partial-";

/// The bytes that are collected for one job of writing.
const PIECE: usize = 64 << 10;

/// A picture that is being received. Its bytes go to a file with a temporary name, which is removed
/// if this is dropped.
///
/// Jobs of `spawn_blocking` write it, one at a time. [`write`](Self::write) waits for them, so a slow
/// disk holds up the client that sends the picture, and no other.
#[derive(Debug)]
pub(crate) struct PartialFile {
    directory: Arc<Path>,
    kind: PictureKind,
    /// `None` before the first job, and after one that has failed.
    target: Option<Target>,
    /// What is not yet written; less than [`PIECE`] between two calls.
    buffer: Vec<u8>,
    length: u64,
}

/// The file of a picture. A job takes it along and returns it, so it has one owner at any time.
#[derive(Debug)]
struct Target {
    file: File,
    removal: Removal,
}

/// A complete picture with its final name. Dropping this removes the file.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) name: String,
    pub(crate) length: u64,
    removal: Removal,
}

impl PartialFile {
    pub(crate) fn new(directory: Arc<Path>, kind: PictureKind) -> PartialFile {
        PartialFile { directory, kind, target: None, buffer: Vec::new(), length: 0 }
    }

    /// The number of bytes so far.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes. Waits until the disk has taken them, if enough have come together.
    ///
    /// # Errors
    /// As `open` and `write`. The file is removed then.
    ///
    /// # Cancel safety
    /// Not cancel safe: after a dropped write, the file must be dropped too.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
        if self.buffer.len() >= PIECE {
            let (target, buffer) = self.write_buffer(Ok).await?;
            self.target = Some(target);
            self.buffer = buffer;
        }
        Ok(())
    }

    /// Gives the file its final name. When this returns, the disk has the whole picture.
    ///
    /// # Errors
    /// As `open`, `write`, `fsync` and `rename`. The file is removed then.
    pub(crate) async fn finish(mut self) -> io::Result<Picture> {
        let name = format!("{}.{}", random_name()?, self.kind.extension());
        let (directory, path) = (Arc::clone(&self.directory), self.directory.join(&name));
        let finish = move |mut target: Target| {
            target.file.sync_all()?;
            target.removal.rename(path)?;
            File::open(&directory)?.sync_all()?; // the name
            Ok(target)
        };
        let (target, _) = self.write_buffer(finish).await?;
        Ok(Picture { name, length: self.length, removal: target.removal })
    }

    /// Writes the buffer, and calls `then` on the same thread. Returns the target and the empty
    /// buffer.
    async fn write_buffer(
        &mut self,
        then: impl FnOnce(Target) -> io::Result<Target> + Send + 'static,
    ) -> io::Result<(Target, Vec<u8>)> {
        let directory = Arc::clone(&self.directory);
        let target = self.target.take();
        let mut buffer = mem::take(&mut self.buffer);
        let job = spawn_blocking(move || {
            let mut target = target.map_or_else(|| Target::create(&directory), Ok)?;
            target.file.write_all(&buffer)?;
            buffer.clear();
            Ok((then(target)?, buffer))
        });
        job.await?
    }
}

impl Target {
    fn create(directory: &Path) -> io::Result<Target> {
        let path = directory.join(format!("{PARTIAL_PREFIX}{}", random_name()?));
        let file = File::create_new(&path)?;
        Ok(Target { file, removal: Removal::of(path) })
    }
}

impl Picture {
    /// Leaves the file where it is.
    pub(crate) fn keep(self) {
        self.removal.keep();
    }
}
