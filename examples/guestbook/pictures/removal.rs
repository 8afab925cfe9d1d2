//! A file that disappears unless it is kept.

use std::fs;
use std::mem;
use std::path::PathBuf;

use squall_net::{Handle, spawn_blocking};

/// Owns a file. Dropping this removes the file, however it comes to the drop: by an error, by a
/// panic, or by a client that leaves, so that the future of its handler is dropped.
#[derive(Debug)]
pub(crate) struct Removal(Guard);

/// The path of a file to be removed by the thread that drops this. `None` if there is nothing to
/// remove.
#[derive(Debug, Default)]
struct Guard(Option<PathBuf>);

impl Removal {
    pub(crate) fn of(path: PathBuf) -> Removal {
        Removal(Guard(Some(path)))
    }

    /// Renames the file.
    ///
    /// # Errors
    /// As `rename`. The file has its old name then.
    pub(crate) fn rename(&mut self, path: PathBuf) -> std::io::Result<()> {
        if let Some(former) = &self.0.0 {
            fs::rename(former, &path)?;
            self.0.0 = Some(path);
        }
        Ok(())
    }

    /// Leaves the file where it is.
    pub(crate) fn keep(mut self) {
        self.0.0 = None;
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let guard = mem::take(&mut self.0);
        // To remove a file is work for the disk, so the loop's thread does not do it. Other threads
        // have no loop. A loop that closes drops the job, and with it the guard.
        if guard.0.is_some() && Handle::try_current().is_some() {
            spawn_blocking(move || drop(guard));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            log::error!("cannot remove {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use squall_net::block_on;

    use super::*;

    /// Makes a file with a name of its own.
    fn file(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("squall-{name}-{}", std::process::id()));
        fs::write(&path, "").unwrap();
        path
    }

    #[test]
    fn a_dropped_file_is_removed_with_and_without_a_loop() {
        let path = file("without-loop");
        drop(Removal::of(path.clone()));
        assert!(!path.exists());
        let path = file("with-loop");
        block_on(async {
            drop(Removal::of(path.clone()));
            for _ in 0..10_000 {
                let path = path.clone();
                if !spawn_blocking(move || path.exists()).await.unwrap() {
                    return;
                }
            }
            panic!("the file is still there");
        });
    }

    #[test]
    fn a_kept_file_stays_under_its_last_name() {
        let (former, last) = (file("former"), file("last"));
        let mut removal = Removal::of(former.clone());
        removal.rename(last.clone()).unwrap();
        removal.keep();
        assert!(!former.exists() && last.exists());
        let mut removal = Removal::of(last.clone());
        removal.rename(last.join("in a file")).unwrap_err();
        drop(removal);
        assert!(!last.exists());
    }
}
