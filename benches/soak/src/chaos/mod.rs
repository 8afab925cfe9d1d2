//! What disturbs the servers. Open `carry_out.rs` first; `records/act.rs` lists the
//! acts.

mod carry_out;
pub(crate) mod cgroup;
mod children;
mod clients;
mod crowds;
mod limits;
mod outcome;
mod processes;
mod schedule;
pub(crate) mod stage;

pub(crate) use carry_out::carry_out;
pub(crate) use outcome::Outcome;
pub(crate) use schedule::{Planned, Schedule};
