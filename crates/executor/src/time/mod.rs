//! Time: clocks, timers, and the futures and callbacks that wait for them. Open `sleep.rs` first.
//!
//! ```text
//!   above the loop:   interval ─▶ sleep ◀─ timeout     periodic_callback     timer_guard, settle
//!                        │          └───────────┬──────────┘   │                  │
//!                        ▼               the loop's core ◀──── │ ─────────────────┘
//!   below the loop:  periodic_times      alarms ─▶ timers ─▶ slots   turn_clock ─▶ clock
//!                                                    └────▶ node_heap
//! ```
//!
//! The loop owns the parts in the lower row. They take the time as an argument, so their tests
//! never sleep. The parts in the upper row find the loop of this thread through `current.rs`.

pub(crate) mod alarms;
pub(crate) mod clock;
pub(crate) mod interval;
mod node_heap;
pub(crate) mod periodic_callback;
mod periodic_times;
mod settle;
pub(crate) mod sleep;
mod slots;
pub(crate) mod timeout;
pub(crate) mod timer_guard;
pub(crate) mod timers;
pub(crate) mod turn_clock;
