//! Fuzz targets: what each does with an input, and what must be true of the outcome.
//!
//! Each target is a function `check` that takes any bytes and panics if squall is wrong. A program in
//! `fuzz_targets/` gives it to libFuzzer, and `tests/corpora.rs` runs it, without a fuzzer, on the
//! inputs in `corpus/` that fuzzing has found. Open `request_head.rs` first.
//!
//! ```text
//!   request_head   one parser against another, and each prefix against the whole
//!   chunked_body   the decoder, fed in pieces, against one that sees all bytes
//!   connection     the HTTP server, fed in pieces, against itself, fed at once
//!   handshake      the chat's upgrade against the rules of RFC 6455
//!   stream_reads   scripts of reads, against a queue of bytes
//!   timers         scripts of timers, against a sorted list
//!   simulation     scripts of faults on simulated hosts, against a second run
//! ```
//!
//! The first three and `handshake` read their input as the bytes that a client sends, after at most
//! a few bytes that say how. The others read it as a [`script`].

#![cfg(feature = "sim")]

mod answers;
pub mod chunked_body;
pub mod connection;
mod expected_read;
pub mod handshake;
mod numbered_bytes;
mod pieces;
mod reference_chunks;
mod reference_head;
pub mod replay;
pub mod request_head;
mod script;
pub mod simulation;
pub mod stream_reads;
pub mod timers;
mod timers_model;
mod transport;
