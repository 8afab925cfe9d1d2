//! What a client may do, and what the server keeps.

use std::time::Duration;

/// The limits of a chat.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of a message's text. A longer text is refused; the connection goes on.
    pub text_bytes: usize,
    /// The most bytes of a WebSocket message. A longer one ends the connection with code 1009.
    pub frame_bytes: usize,
    /// The most characters of a name.
    pub name_chars: usize,
    /// The most WebSockets of this process. Another one is answered with 503.
    pub clients: usize,
    /// The most WebSockets in a room. Another one is closed with code 1013.
    pub room_clients: usize,
    /// The most rooms of this process. If all are in use, another one is closed with code 1013.
    pub rooms: usize,
    /// The most bytes that wait for a client. A client that reads more slowly is cut off.
    pub queued_bytes: usize,
    /// The most messages of a client that wait to be acknowledged. The server reads no more of the
    /// client until one of them is.
    pub unacknowledged: usize,
    /// The messages that a client may send at once. The server reads the next ones one by one, each
    /// after [`message_interval`](Self::message_interval).
    pub message_burst: u32,
    /// The time for which a message counts.
    pub message_interval: Duration,
    /// The pings and pongs that a client may send at once. More end the connection with code 1008.
    pub control_burst: u32,
    /// The time for which a ping or pong counts.
    pub control_interval: Duration,
    /// The messages that a new client gets.
    pub history: usize,
    /// The messages that a room keeps for clients that reconnect.
    pub recent_messages: usize,
    /// The bytes of the messages that a room keeps. The last [`history`](Self::history) messages
    /// stay also if they have more.
    pub recent_bytes: usize,
    /// The time in which a new client must give its name.
    pub hello_timeout: Duration,
    /// The time without a sign of the client after which it gets a ping.
    pub ping_interval: Duration,
    /// The time without a sign of the client after which it is cut off.
    pub idle_timeout: Duration,
    /// The time in which a client must answer a close.
    pub close_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            text_bytes: 4 << 10,
            frame_bytes: 32 << 10,
            name_chars: 24,
            clients: 10_000,
            room_clients: 1_000,
            rooms: 500,
            queued_bytes: 256 << 10,
            unacknowledged: 16,
            message_burst: 20,
            message_interval: Duration::from_millis(200),
            control_burst: 20,
            control_interval: Duration::from_secs(1),
            history: 50,
            recent_messages: 1_000,
            recent_bytes: 512 << 10,
            hello_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(2),
        }
    }
}
