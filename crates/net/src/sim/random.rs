//! Random numbers of the run.

use crate::sim::current;

/// Draws a random number from the seed of this thread's simulation. Without one, draws it from the
/// system.
///
/// ```
/// use squall_net::sim::{Simulation, random};
///
/// let draw = |seed| {
///     let simulation = Simulation::new(seed);
///     simulation.block_on(async { random() })
/// };
/// assert_eq!(draw(1), draw(1));
/// assert_ne!(draw(1), draw(2));
/// ```
pub fn random() -> u64 {
    current::world().map_or_else(|| fastrand::u64(..), |world| world.random())
}
