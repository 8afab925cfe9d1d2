//! Scripts that run on the kernel's sockets and on simulated ones.

pub(crate) mod actor;
pub(crate) mod kernel;
pub(crate) mod scripts;
pub(crate) mod simulated;
pub(crate) mod stage;
