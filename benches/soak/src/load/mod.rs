//! Well-behaved clients, in a process of their own, on plain threads. Open `lane.rs` first.

mod answer;
mod client;
pub(crate) mod connection;
mod due_times;
mod lane;
mod process;
pub(crate) mod request;
mod tally;

pub(crate) use answer::Answer;
pub(crate) use lane::Addresses;
pub(crate) use process::run;
