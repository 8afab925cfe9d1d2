//! A chat: a server that sends each line of a client to all other clients, and a client.
//!
//! ```text
//! cargo run --release --example chat_line
//! cargo run --release --example chat_line -- --join        in two other terminals
//! ```

use std::cell::RefCell;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;

use futures_lite::future::or;
use lexopt::prelude::*;
use slab::Slab;
use squall_net::{
    IoStream, IoWriter, StreamConfig, StreamError, TcpServer, TcpStream, block_on, copy, signal,
    stdin, stdout,
};

const HELP: &str = "\
A chat for lines of text.

Usage: chat_line [--join] [HOST:PORT]

  --join      join the chat of a server: type lines, and read those of the others
  HOST:PORT   where to listen, or the server to join (127.0.0.1:7778)
  --help      this text";

/// The longest line that a client may send, in bytes.
const MAX_LINE: usize = 1024;
/// The most bytes queued for a client that reads slowly. Beyond, the server closes its connection.
const MAX_QUEUED: usize = 64 << 10;

/// The writers of all connected clients. All tasks run on one thread, so a `RefCell` suffices.
type Room = Rc<RefCell<Slab<IoWriter>>>;

fn main() -> ExitCode {
    env_logger::init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat_line: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (mut joins, mut address) = (false, "127.0.0.1:7778".to_owned());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("join") => joins = true,
            Value(value) => address = value.parse()?,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    block_on(async { if joins { join(&address).await } else { serve(&address).await } })?;
    Ok(())
}

/// Sends what is typed to a server and shows what the server sends, until the server or the input
/// ends.
async fn join(address: &str) -> io::Result<()> {
    let (mut from_server, mut to_server) =
        IoStream::new(TcpStream::connect(address).await?).split();
    let (mut typed, _) = IoStream::new(stdin()).split();
    let (_, mut shown) = IoStream::new(stdout()).split();
    let talking = async {
        copy(&mut typed, &mut to_server).await?;
        to_server.shutdown().await?; // the server then ends its direction too
        pending().await
    };
    let listening = async { copy(&mut from_server, &mut shown).await };
    or(listening, talking).await?;
    Ok(())
}

async fn serve(address: &str) -> io::Result<()> {
    let room = Room::default();
    let server =
        TcpServer::new(async move |stream: IoStream, peer| chat(&room, stream, peer).await)
            .stream_config(StreamConfig::default().max_write_buffer_size(Some(MAX_QUEUED)));
    println!("chatting on {}", server.listen(address)?);
    or(async { signal::termination().await.map(drop) }, server.closed()).await
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
