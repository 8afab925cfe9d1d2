//! Rooms that many processes share through PostgreSQL. Open `worker.rs` first.

mod backoff;
mod connection;
pub(crate) mod database;
mod messages;
mod presence;
mod tasks;
mod worker;
