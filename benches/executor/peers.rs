//! The other runtimes, each with the smallest set of features that the scenarios need.

mod async_executor;
mod compio;
mod monoio;
mod tokio;

pub(crate) use self::async_executor::AsyncExecutor;
pub(crate) use self::compio::Compio;
pub(crate) use self::monoio::Monoio;
pub(crate) use self::tokio::{Tokio, TokioLocalSet};
