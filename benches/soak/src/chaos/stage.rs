//! What the acts act on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::Pid;

use crate::chaos::cgroup::Cgroup;
use crate::chaos::children::children;
use crate::load::Addresses;

/// The servers of a run.
pub(crate) struct Stage {
    pub(crate) single: Process,
    pub(crate) prefork: Process,
    /// Held by what kills a worker. If a worker that fills the memory were killed by an act too, the kernel
    /// could find its memory still taken, and kill the supervisor for it.
    pub(crate) killing: Mutex<()>,
    /// Set when the run has to end.
    pub(crate) ending: Arc<Ending>,
}

impl Stage {
    /// Waits until no other act kills a worker.
    pub(crate) fn kill_alone(&self) -> MutexGuard<'_, ()> {
        self.killing.lock().expect("no holder panics")
    }

    /// The workers that live now.
    pub(crate) fn workers(&self) -> Vec<Pid> {
        children(self.prefork.pid)
    }
}

/// A server process, or the supervisor of several.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) addresses: Addresses,
    /// `Err` with the reason if this machine does not allow it.
    pub(crate) pids: Result<Cgroup, String>,
    pub(crate) memory: Result<Cgroup, String>,
}

/// A flag to wait for.
#[derive(Default)]
pub(crate) struct Ending {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Ending {
    pub(crate) fn set(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_set(&self) -> bool {
        *self.lock()
    }

    /// Waits for this time, or until the flag is set. Returns the flag.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let outcome = self.changed.wait_timeout_while(self.lock(), time, |is_set| !*is_set);
        *outcome.expect("no holder panics").0
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_set.lock().expect("no holder panics")
    }
}
