//! A web chat: an example of WebSockets, of a bounded queue for each client, and of a database on
//! squall.
//!
//! Open `session/session.rs` first: it serves one WebSocket. Then `room/room.rs`, where a message
//! goes to everyone, and `database/worker.rs`, which shares the rooms with other processes.
//!
//! ```text
//!   browser ── WebSocket ──▶ Session ── submit ──▶ Store ── in memory, or committed by the worker
//!                               ▲                    │
//!                               │ acknowledged,      ▼ numbered, in one order for all
//!                           SendQueue ◀── push ──  Room ── the recent messages, and the people
//! ```
//!
//! A message is *acknowledged* when it is safe: in memory if the chat has one process, committed if
//! it has a database. A client keeps what was not acknowledged and sends it again after a
//! reconnect. The client chooses the id of its message, so the second one is recognised.

mod chat;
mod database;
mod limits;
mod memory;
mod person;
mod room;
mod session;
mod store;
mod web;
mod wire;

pub use chat::{Chat, Status};
pub use limits::Limits;
pub use web::application::application;
