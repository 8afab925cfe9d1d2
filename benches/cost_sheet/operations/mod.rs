//! The operations of the cost sheet. Each is a function that does the operation again and again, as
//! a user would, and marks where this begins and ends.
//!
//! Everything of an operation happens on one thread wherever possible: then no count depends on
//! which of two threads is faster.

mod callbacks;
mod descriptors;
mod futures;
mod loops;
mod reactor;
mod servers;
mod sockets;
mod streams;
mod tasks;
mod threads;
mod time;

use std::future::Future;

use squall_net::{block_on, spawn};

use crate::limit::Limit;
use crate::meter::Meter;

/// A public operation.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) run: fn(Meter),
    /// What the operation may cost at most, by the design.
    pub(crate) limits: &'static [Limit],
    /// Whether the number of clock reads depends on the time that they take.
    pub(crate) is_timed: bool,
}

impl Operation {
    const fn new(name: &'static str, run: fn(Meter)) -> Operation {
        Operation { name, run, limits: &[], is_timed: false }
    }

    const fn at_most(self, limits: &'static [Limit]) -> Operation {
        Operation { limits, ..self }
    }

    const fn timed(self) -> Operation {
        Operation { is_timed: true, ..self }
    }
}

/// The operations of one kind, which are a table of the sheet.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) operations: &'static [Operation],
}

/// All operations, in the order of the sheet.
pub(crate) static GROUPS: &[Group] = &[
    Group { title: "Tasks and wakers", operations: tasks::OPERATIONS },
    Group { title: "Callbacks", operations: callbacks::OPERATIONS },
    Group { title: "Futures that are set", operations: futures::OPERATIONS },
    Group { title: "Time", operations: time::OPERATIONS },
    Group { title: "Loops", operations: loops::OPERATIONS },
    Group { title: "Other threads", operations: threads::OPERATIONS },
    Group { title: "Descriptors", operations: descriptors::OPERATIONS },
    Group { title: "Streams", operations: streams::OPERATIONS },
    Group { title: "Sockets", operations: sockets::OPERATIONS },
    Group { title: "Servers", operations: servers::OPERATIONS },
    Group { title: "The reactor alone", operations: reactor::OPERATIONS },
];

/// Runs `future` as a task of a new loop, as most code runs.
fn in_task(future: impl Future<Output = ()> + 'static) {
    block_on(async { spawn(future).await.expect("the operation does not panic") });
}
