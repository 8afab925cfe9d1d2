//! The directory with the pictures.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use tiny_http::StaticFiles;

use crate::pictures::partial_file::{PARTIAL_PREFIX, PartialFile};
use crate::pictures::picture_kind::PictureKind;

/// The directory with the pictures. One program at a time uses it.
#[derive(Clone, Debug)]
pub(crate) struct PictureDirectory {
    path: Arc<Path>,
    /// Keeps other programs out, as long as it is open. The kernel closes it after a crash too.
    _lock: Rc<File>,
}

impl PictureDirectory {
    /// Opens the directory, and makes it if it is missing. Removes the unfinished files that an
    /// earlier program has left there, for example one that was killed.
    ///
    /// # Errors
    /// `WouldBlock` if another program uses the directory; and as the functions of `std::fs`.
    pub(crate) fn open(path: &Path) -> io::Result<PictureDirectory> {
        fs::create_dir_all(path)?;
        let lock = File::open(path)?;
        lock.try_lock()?;
        for file in fs::read_dir(path)? {
            let file = file?;
            if file.file_name().to_string_lossy().starts_with(PARTIAL_PREFIX) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(PictureDirectory { path: path.into(), _lock: Rc::new(lock) })
    }

    /// A new file for a picture of this kind.
    pub(crate) fn partial_file(&self, kind: PictureKind) -> PartialFile {
        PartialFile::new(Arc::clone(&self.path), kind)
    }

    /// The handler that serves the pictures.
    ///
    /// # Errors
    /// As [`StaticFiles::new`].
    pub(crate) fn files(&self) -> io::Result<StaticFiles> {
        StaticFiles::new(&self.path)
    }
}
