//! A chat: every line that somebody says is told to all the others.
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

/// The longest line that anybody may say, in bytes.
const LONGEST_LINE: usize = 1024;
/// What may wait for a listener that does not keep up, before it is dropped.
const MOST_WAITING: usize = 64 << 10;

/// Everybody who is there. All of it is on one thread, so a cell is enough.
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
                .stream_config(StreamConfig::default().max_write_buffer_size(Some(MOST_WAITING)));
        println!("chatting on {}", server.listen(&address)?);
        signal::ctrl_c().await
    })
}

async fn chat(room: &Room, stream: IoStream, peer: SocketAddr) -> io::Result<()> {
    let (mut reader, writer) = stream.split();
    let seat = room.borrow_mut().insert(writer);
    tell_others(room, seat, &format!("* {peer} is here\n"));
    let left = loop {
        match reader.read_until_max(b"\n", LONGEST_LINE).await {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                tell_others(room, seat, &format!("{peer}: {}\n", line.trim_end()));
            }
            Err(StreamError::Closed { .. }) => break Ok(()),
            Err(error) => break Err(error.into()), // who talks without end has to leave
        }
    };
    let writer = room.borrow_mut().remove(seat);
    drop(writer);
    tell_others(room, seat, &format!("* {peer} is gone\n"));
    left
}

/// Queues a text for everybody else. Whoever has too much waiting already is closed; its reader notices and leaves.
fn tell_others(room: &Room, speaker: usize, text: &str) {
    for (seat, writer) in &mut *room.borrow_mut() {
        if seat != speaker && writer.write(text).is_err() {
            writer.close();
        }
    }
}
