//! What goes over a WebSocket, and what waits to.

pub(crate) mod ending;
pub(crate) mod protocol;
pub(crate) mod send_queue;
