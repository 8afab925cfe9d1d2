//! What is left of the simulation without the feature `sim`: nothing.

use std::io;

/// With the feature, refuses a call of a simulated host that has no simulation.
#[inline(always)]
pub(crate) fn refuse(_call: &str) -> io::Result<()> {
    Ok(())
}
