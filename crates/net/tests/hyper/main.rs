//! hyper over squall's transport, executor and timer.

mod bodies;
mod endings;
mod support;
mod timers;
mod writes;
