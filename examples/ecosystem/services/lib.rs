//! Web frameworks and databases on squall: their tests, and the programs of the cookbook, which run as
//! doctests.
//!
//! This is a separate package, and not a default member of the workspace: compiling axum, reqwest, sqlx
//! and the others takes longer than compiling squall and all its examples.

/// Compiles and runs the cookbook's programs as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/cookbook.md")]
struct Cookbook;
