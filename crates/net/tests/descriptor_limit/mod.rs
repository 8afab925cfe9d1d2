//! Raises the descriptor limit for a test that opens many.

use std::io::{self, Write};

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit on open descriptors. If the machine allows fewer than `needed`, prints a line
/// and returns false.
pub(crate) fn may_open(needed: u64) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // on an error, the limit stays as it was
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed < needed {
        let _ = writeln!(
            io::stderr(),
            "skipped: {needed} descriptors are needed, the limit is {allowed}"
        );
    }
    allowed >= needed
}
