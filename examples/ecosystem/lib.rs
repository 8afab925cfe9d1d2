//! Other crates on squall: two programs, hyper's timer, and the programs of the cookbook and of the
//! guide for tokio's users, which run as doctests.
//!
//! This is a separate package, so that the other examples need not compile hyper, rustls and
//! tungstenite.

mod hyper_timer;

pub use hyper_timer::HyperTimer;

/// Compiles and runs the cookbook's programs as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
struct Cookbook;

/// Compiles and runs the programs in the guide for tokio's users.
#[cfg(doctest)]
#[doc = include_str!("../../docs/tokio.md")]
struct TokioGuide;
