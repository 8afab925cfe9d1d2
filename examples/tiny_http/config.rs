//! Limits and deadlines.

use std::time::Duration;

/// What one client may use up.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The most bytes of a request's head, request line included; 431 beyond.
    pub max_head_bytes: usize,
    /// The most header fields of a request, at most 128; 431 beyond.
    pub max_headers: usize,
    /// The most bytes of a request's body, decoded; 413 beyond.
    pub max_body_bytes: u64,
    /// From the first byte of a head to its last; 408 beyond.
    pub head_timeout: Duration,
    /// From the end of the head to the end of the body; 408 beyond.
    pub body_timeout: Duration,
    /// Without a byte between two requests; then the connection is closed.
    pub idle_timeout: Duration,
    /// Without a byte taken of an answer that waits; then the connection is cut.
    pub write_timeout: Duration,
    /// How long a connection that ends still takes what the client is sending, so that the client reads its answer.
    pub linger_timeout: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_head_bytes: 16 << 10,
            max_headers: 64,
            max_body_bytes: 1 << 20,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(5),
        }
    }
}
