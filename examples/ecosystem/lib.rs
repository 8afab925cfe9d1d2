//! Other crates on squall: two programs, and the programs of the guide for tokio's users, which run as
//! doctests.
//!
//! This is a separate package, so that the other examples need not compile hyper, rustls and
//! tungstenite. The package in `services/` has the cookbook's programs, and what compiles for longer.

/// Compiles and runs the programs in the guide for tokio's users.
#[cfg(doctest)]
#[doc = include_str!("../../docs/tokio.md")]
struct TokioGuide;
