//! A control group of a test.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A control group in one hierarchy. Dropping it removes it and the groups that were made in it.
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a group where `controller` can be used: below the hierarchy of version 1 that has it,
    /// or below the one of version 2. An empty name finds that of version 2.
    pub(crate) fn new(controller: &str, name: &str) -> io::Result<Cgroup> {
        let parent = hierarchy(controller).ok_or_else(|| {
            io::Error::other(format!("no control groups, or none with {controller:?}"))
        })?;
        let path = parent.join(format!("squall-{name}-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Cgroup(path))
    }

    /// The file to which a process writes its number to enter.
    pub(crate) fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }

    /// Writes to the first of these files that exists.
    pub(crate) fn set(&self, files: &[&str], value: &str) -> io::Result<()> {
        fs::write(self.first(files)?, value)
    }

    /// Reads the first of these files that exists.
    pub(crate) fn read(&self, files: &[&str]) -> io::Result<String> {
        fs::read_to_string(self.first(files)?)
    }

    fn first(&self, files: &[&str]) -> io::Result<PathBuf> {
        let mut paths = files.iter().map(|file| self.0.join(file));
        paths.find(|path| path.exists()).ok_or_else(|| io::Error::other(format!("no {files:?}")))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A group can be removed once its processes have been reaped.
        let begin = std::time::Instant::now();
        while self.0.exists() && begin.elapsed() < crate::support::WATCHDOG {
            remove_all(&self.0);
        }
    }
}

fn remove_all(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_all(&entry.path());
        }
    }
    let _ = fs::remove_dir(path); // the caller tries again
}

/// Returns the mount point of the hierarchy that has `controller`.
fn hierarchy(controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((PathBuf::from(fields.next()?), fields.next()?.to_owned(), fields.next()?.to_owned()))
    });
    let has_controller = |(path, kind, options): &(PathBuf, String, String)| match kind.as_str() {
        "cgroup" => options.split(',').any(|option| option == controller),
        "cgroup2" => {
            let controllers = fs::read_to_string(path.join("cgroup.subtree_control"));
            controller.is_empty()
                || controllers
                    .is_ok_and(|text| text.split_whitespace().any(|name| name == controller))
        }
        _ => false,
    };
    Some(mounts.find(has_controller)?.0)
}
