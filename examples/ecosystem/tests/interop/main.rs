//! Crates built on futures-io work on squall: async-tungstenite, futures-rustls and futures-util.

mod futures_util;
mod rustls;
mod support;
mod web_sockets;
