//! The servers under test. Open `single.rs` first.

mod application;
pub(crate) mod fault;
mod hog;
mod line_echo;
mod prefork;
mod sampler;
mod services;
mod single;

pub(crate) use prefork::serve as serve_prefork;
pub(crate) use single::serve as serve_single;
