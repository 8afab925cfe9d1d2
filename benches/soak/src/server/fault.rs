//! Faults that a server has on purpose, to show that a run finds them.

use std::cell::Cell;
use std::fs::File;
use std::future::pending;
use std::hint::black_box;
use std::str::FromStr;

use squall_net::spawn;

/// One of this many requests meets the fault.
const RARITY: u32 = 50;

/// What a broken server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// An answer has another byte.
    Wrong,
    /// An answer never comes.
    Hang,
    /// The handler panics.
    Panic,
    /// A task never ends.
    Task,
    /// A descriptor is never closed.
    Descriptor,
    /// Memory is never freed.
    Bytes,
}

impl Fault {
    const ALL: [(&str, Fault); 7] = [
        ("none", Fault::None),
        ("wrong", Fault::Wrong),
        ("hang", Fault::Hang),
        ("panic", Fault::Panic),
        ("task", Fault::Task),
        ("descriptor", Fault::Descriptor),
        ("bytes", Fault::Bytes),
    ];

    pub(crate) fn name(self) -> &'static str {
        let named = Fault::ALL.iter().find(|(_, fault)| *fault == self);
        named.expect("all faults have names").0
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Fault, String> {
        let named = Fault::ALL.iter().find(|(name, _)| *name == text);
        named.map(|(_, fault)| *fault).ok_or_else(|| {
            let names = Fault::ALL.map(|(name, _)| name).join(", ");
            format!("there is no such fault; there are: {names}")
        })
    }
}

/// A fault, and the requests that it has spared.
pub(crate) struct RareFault {
    fault: Fault,
    spared: Cell<u32>,
}

impl RareFault {
    pub(crate) fn new(fault: Fault) -> RareFault {
        RareFault { fault, spared: Cell::new(0) }
    }

    /// Commits the fault in one of many calls. Returns the body to answer with instead of the right
    /// one.
    pub(crate) async fn commit(&self) -> Option<&'static str> {
        self.spared.set((self.spared.get() + 1) % RARITY);
        if self.spared.get() > 0 {
            return None;
        }
        match self.fault {
            Fault::None => {}
            Fault::Wrong => return Some("Hello, world!"),
            Fault::Hang => pending().await,
            Fault::Panic => panic!("a fault on purpose"),
            Fault::Task => drop(spawn(pending::<()>())),
            Fault::Descriptor => std::mem::forget(File::open("/dev/null")),
            Fault::Bytes => std::mem::forget(black_box(Box::new([0_u8; 100]))),
        }
        None
    }
}
