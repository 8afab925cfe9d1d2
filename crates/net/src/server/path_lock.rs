//! The lock of a path: who has it is alone with what is there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::sys;

/// How long another may hold the lock, and how long it is left alone in between.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);

/// Held until it is dropped, by `flock(2)` of a file beside the path that only this user may open, and that goes with the lock. The
/// directory itself would need no file, but whoever may read it could hold its lock for ever.
pub(crate) struct PathLock {
    path: PathBuf,
    /// Dropped last: the file is removed while it is locked.
    _file: File,
}

impl PathLock {
    /// # Errors
    /// `WouldBlock` if another holds it for a second, and those of `open(2)`.
    pub(crate) fn of(path: &Path) -> io::Result<PathLock> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".lock");
        let path = path.with_file_name(name);
        let begin = Instant::now();
        loop {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)?;
            match sys::try_lock(file.as_fd()) {
                Ok(()) if is_at(&file, &path)? => return Ok(PathLock { path, _file: file }),
                Ok(()) => {} // its last holder has removed it
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && begin.elapsed() < PATIENCE =>
                {
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Tells whether a file is the one that has a path now.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let file = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (file.dev(), file.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // one that stays is taken by the next
    }
}
