//! The observed loops: what is asked of them, and what runs on their threads. Open `watched.rs`
//! first.

pub(crate) mod gauges;
pub(crate) mod histogram;
pub(crate) mod recorder;
pub(crate) mod sample;
pub(crate) mod watched;
