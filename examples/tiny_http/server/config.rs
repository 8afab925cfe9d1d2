//! Limits and deadlines of a connection.

use std::time::Duration;

/// Limits and deadlines for each connection.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The most bytes of a request's head, request line included. The response to a longer head is
    /// 431, or 414 if the request line alone is too long.
    pub max_head_bytes: usize,
    /// The most header fields of a request; larger values count as 128. The response to more fields
    /// is 431.
    pub max_headers: usize,
    /// The most bytes of a request's body, decoded. The response to a larger body is 413.
    pub max_body_bytes: u64,
    /// The time from the first byte of a head to its last. Then the response is 408.
    pub head_timeout: Duration,
    /// The time from the first wait for bytes of the body to its end. Then the response is 408.
    pub body_timeout: Duration,
    /// The time without a byte between two requests. Then the server closes the connection.
    pub idle_timeout: Duration,
    /// The time in which the client takes no byte of a queued response. Then the server cuts the
    /// connection.
    pub write_timeout: Duration,
    /// How long a closing connection still reads what the client sends, so that no reset destroys
    /// the response.
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
