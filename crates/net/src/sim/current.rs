//! The simulated host whose code runs on this thread, and the simulation of this thread.

use std::cell::RefCell;
use std::io;
use std::rc::{Rc, Weak};

use crate::sim::machine::Machine;
use crate::sim::world::World;

thread_local! {
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
    /// The newest simulation that was made on this thread.
    static WORLD: RefCell<Weak<World>> = const { RefCell::new(Weak::new()) };
}

/// A host of a simulation.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) world: Rc<World>,
    pub(crate) machine: Rc<Machine>,
}

/// The host whose code runs now. `None` outside of simulated hosts.
pub(crate) fn place() -> Option<Place> {
    PLACE.try_with(|place| place.borrow().clone()).ok().flatten()
}

/// Makes a host the one whose code runs, until the guard is dropped.
pub(crate) fn enter(place: Place) -> Entered {
    #[cfg(feature = "sim-std")]
    crate::sim::standard::set_time(place.world.now());
    let former = PLACE.try_with(|current| current.replace(Some(place))).ok().flatten();
    Entered { former }
}

pub(crate) struct Entered {
    former: Option<Place>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let former = self.former.take();
        let left = PLACE.try_with(|current| current.replace(former));
        drop(left);
    }
}

/// Returns an error if a host of a simulation calls this, for a call that has no simulation.
pub(crate) fn refuse(call: &str) -> io::Result<()> {
    match place() {
        None => Ok(()),
        Some(_) => {
            let text = format!("{call} is not simulated");
            Err(io::Error::new(io::ErrorKind::Unsupported, text))
        }
    }
}

pub(crate) fn set_world(world: &Rc<World>) {
    let former = WORLD.try_with(|current| current.replace(Rc::downgrade(world)));
    drop(former);
}

/// The simulation that runs on this thread.
pub(crate) fn world() -> Option<Rc<World>> {
    if let Some(place) = place() {
        return Some(place.world);
    }
    WORLD.try_with(|world| world.borrow().upgrade()).ok().flatten()
}
