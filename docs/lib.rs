//! The programs of the README and of the guides, as doctests, and a test that follows the tutorial.
//!
//! This is a package of its own because a published crate must compile without the files around it.
//! It is not a default member of the workspace. The cookbook and the guide for users of tokio are
//! compiled by packages in `examples/ecosystem`, which have the crates that they show.

/// The README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The pages of the crates at the package registry.
#[cfg(doctest)]
#[doc = include_str!("../crates/reactor/README.md")]
#[doc = include_str!("../crates/executor/README.md")]
#[doc = include_str!("../crates/net/README.md")]
struct CrateReadmes;

/// The guide to simulations.
#[cfg(doctest)]
#[doc = include_str!("simulation.md")]
struct SimulationGuide;

/// The guide for users of Tornado.
#[cfg(doctest)]
#[doc = include_str!("tornado.md")]
struct TornadoGuide;
