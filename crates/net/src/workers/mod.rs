//! One server in many processes or threads, each with a loop of its own. Open `fork_processes.rs`
//! first.
//!
//! ```text
//!   fork_processes ──▶ supervisor ──▶ fork_options     processes, which the parent restarts
//!   run_workers                                        threads
//! ```
//!
//! The supervisor is the parent process: it has no loop, and calls `sys/process.rs` directly.

pub(crate) mod fork_options;
pub(crate) mod fork_processes;
pub(crate) mod run_workers;
mod supervisor;
