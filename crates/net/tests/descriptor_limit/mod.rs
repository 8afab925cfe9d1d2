//! Room for a test that opens many descriptors.

use std::io::{self, Write};

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit on open descriptors. Returns false, and says so in one line, if the machine allows fewer than `needed`.
pub(crate) fn may_open(needed: u64) -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // where it is refused, the limit stays as it was
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if allowed < needed {
        let _ = writeln!(
            io::stderr(),
            "skipped: {needed} descriptors are needed, the limit is {allowed}"
        );
    }
    allowed >= needed
}
