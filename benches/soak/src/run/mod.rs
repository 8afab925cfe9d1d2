//! The run: starts the processes, disturbs them, lets them rest and judges them. Open `run.rs` first.

mod child_process;
mod cycle;
mod journal;
mod progress;
mod rest;
mod run;
mod servers;
mod summary;
mod trend;

pub(crate) use run::run;
