//! What disturbs the servers. Open `act.rs` first: it lists the acts.

pub(crate) mod act;
pub(crate) mod cgroup;
mod children;
mod clients;
mod crowds;
mod limits;
mod outcome;
mod processes;
mod schedule;
pub(crate) mod stage;

pub(crate) use outcome::Outcome;
pub(crate) use schedule::{Planned, Schedule};
