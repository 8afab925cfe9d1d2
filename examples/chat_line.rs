//! A chat server: sends each line of a client to all other clients.
//!
//! ```text
//! cargo run --release --example chat_line
//! nc 127.0.0.1 7778        in two terminals
//! ```

use std::cell::RefCell;
use std::env;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use slab::Slab;
use squall_net::{IoStream, IoWriter, StreamConfig, StreamError, TcpServer, block_on, signal};

/// The longest line that a client may send, in bytes.
const MAX_LINE: usize = 1024;
/// The most bytes queued for a client that reads slowly. Beyond, the server closes its connection.
const MAX_QUEUED: usize = 64 << 10;

/// The writers of all connected clients. All tasks run on one thread, so a `RefCell` suffices.
type Room = Rc<RefCell<Slab<IoWriter>>>;

fn main() -> io::Result<()> {
    env_logger::init();
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:7778".to_owned());
    if address == "--help" {
        println!("usage: chat_line [host:port]   (127.0.0.1:7778)");
        return Ok(());
    }
    block_on(async {
        let room = Room::default();
        let server =
            TcpServer::new(async move |stream: IoStream, peer| chat(&room, stream, peer).await)
                .stream_config(StreamConfig::default().max_write_buffer_size(Some(MAX_QUEUED)));
        println!("chatting on {}", server.listen(&address)?);
        signal::ctrl_c().await
    })
}

async fn chat(room: &Room, stream: IoStream, peer: SocketAddr) -> io::Result<()> {
    let (mut reader, writer) = stream.split();
    let key = room.borrow_mut().insert(writer);
    tell_others(room, key, &format!("* {peer} is here\n"));
    let outcome = loop {
        match reader.read_until_max(b"\n", MAX_LINE).await {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                tell_others(room, key, &format!("{peer}: {}\n", line.trim_end()));
            }
            Err(StreamError::Closed { .. }) => break Ok(()),
            Err(error) => break Err(error.into()), // also a line that is too long
        }
    };
    let writer = room.borrow_mut().remove(key);
    drop(writer);
    tell_others(room, key, &format!("* {peer} is gone\n"));
    outcome
}

/// Queues a text for all other clients. If a client's write buffer is full, closes its stream: its
/// reader then returns an error, and the client leaves the room.
fn tell_others(room: &Room, sender: usize, text: &str) {
    for (key, writer) in &mut *room.borrow_mut() {
        if key != sender && writer.write(text).is_err() {
            writer.close();
        }
    }
}
