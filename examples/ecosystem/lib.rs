//! Other crates on squall: two programs, and the programs of the cookbook, which are compiled and run as doctests.
//!
//! This is a package of its own so that the examples beside it need not compile hyper, rustls and tungstenite.

/// The cookbook.
#[cfg(doctest)]
#[doc = include_str!("../../docs/cookbook.md")]
struct Cookbook;
