//! Other crates on squall: two programs, and the cookbook's programs, which run as doctests.
//!
//! This is a separate package, so that the other examples need not compile hyper, rustls and
//! tungstenite.

/// Compiles and runs the cookbook's programs as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
struct Cookbook;
