//! What the figures of a report depend on beside the code.

use std::fs;
use std::process::Command;
use std::thread;

use serde::{Deserialize, Serialize};

/// A fact that this machine does not tell is `"unknown"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    /// The mean number of running threads in the minute before the first round.
    pub(crate) load: String,
    /// The day of the run in UTC, as `2026-01-31`.
    pub(crate) date: String,
    /// The commit that was checked out, with "and changes" if files differed from it.
    pub(crate) commit: String,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let load = fs::read_to_string("/proc/loadavg").ok();
        let load = load.and_then(|text| Some(text.split(' ').next()?.to_owned()));
        Machine {
            cpu: processor.unwrap_or_else(unknown),
            cores: thread::available_parallelism().map_or(0, usize::from),
            kernel: printed("uname", &["-sr"]).unwrap_or_else(unknown),
            rustc: printed("rustc", &["--version"]).unwrap_or_else(unknown),
            load: load.unwrap_or_else(unknown),
            date: printed("date", &["-u", "+%F"]).unwrap_or_else(unknown),
            commit: commit().unwrap_or_else(unknown),
        }
    }
}

/// What is checked out where the lab was built.
fn commit() -> Option<String> {
    const TREE: &str = env!("CARGO_MANIFEST_DIR");
    let commit = printed("git", &["-C", TREE, "rev-parse", "--short=10", "HEAD"])?;
    let changes = printed("git", &["-C", TREE, "status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.is_empty() { commit } else { format!("{commit} and changes") })
}

/// What a program prints, if it succeeds.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
