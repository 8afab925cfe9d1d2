//! An exclusive lock on a socket path: only its owner removes or binds the socket there.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait while another process or thread holds the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to sleep between two attempts.
const RETRY_DELAY: Duration = Duration::from_millis(1);

/// An exclusive lock on a socket path, held until it is dropped.
///
/// It is a `flock(2)` of a lock file beside the path. Only this user may open that file, and it is
/// removed with the lock. Locking the directory instead would need no file, but any user who may
/// read the directory could hold its lock for ever.
pub(crate) struct PathLock {
    /// The path of the lock file.
    lock_path: PathBuf,
    /// Closed, and so unlocked, only after `drop` has removed the file.
    _file: File,
}

impl PathLock {
    /// Locks `path`. Blocks the thread until the lock is free, for at most a second.
    ///
    /// # Errors
    /// `WouldBlock` if the lock is not free within a second, and errors of `open(2)`.
    pub(crate) fn acquire(path: &Path) -> io::Result<PathLock> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".lock");
        let lock_path = path.with_file_name(name);
        let begin = Instant::now();
        loop {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&lock_path)?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &lock_path)? => {
                    return Ok(PathLock { lock_path, _file: file });
                }
                Ok(()) => {} // the previous owner removed the file after it was opened here
                Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_TIMEOUT => {
                    thread::sleep(RETRY_DELAY);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether `path` still names `file`.
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
        let _ = fs::remove_file(&self.lock_path); // a file that stays is reused by the next lock
    }
}
