//! Control groups of version 1, which limit memory and threads.

use std::fs;
use std::io;
use std::path::PathBuf;

use rustix::process::Pid;

use crate::chaos::children::children;

/// A control group of one controller. Dropping this removes it; its processes must have ended.
#[derive(Debug)]
pub(crate) struct Cgroup(PathBuf);

impl Cgroup {
    /// Makes a group below that of this process, and moves a process with its children to it, those
    /// included that it starts later.
    ///
    /// # Errors
    /// The reason, for people, why this machine does not allow it.
    pub(crate) fn holding(controller: &str, name: &str, pid: Pid) -> Result<Cgroup, String> {
        let explain = |error| format!("no {controller} group of version 1: {error}");
        let groups = fs::read_to_string("/proc/self/cgroup").map_err(explain)?;
        let own = groups.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            controllers.split(',').any(|name| name == controller).then(|| path.trim_matches('/'))
        });
        let own = own.ok_or_else(|| format!("no {controller} group of version 1"))?;
        let path = PathBuf::from("/sys/fs/cgroup").join(controller).join(own).join(name);
        fs::create_dir(&path).map_err(explain)?;
        let cgroup = Cgroup(path);
        let take = |pid: Pid| cgroup.write("cgroup.procs", &pid.as_raw_nonzero().to_string());
        take(pid).map_err(explain)?;
        children(pid).into_iter().try_for_each(take).map_err(explain)?;
        Ok(cgroup)
    }

    pub(crate) fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.0.join(file), value)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0); // an empty group does no harm
    }
}
