//! Responses whose bodies another thread feeds: every wake from there must bring out every byte.

mod support;

use std::env;
use std::io;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use async_channel::{Receiver, Sender};
use bytes::Bytes;
use futures_lite::stream;
use squall_net::{EventLoop, IoStream, TcpStream, spawn};
use support::say;
use tiny_http::{Config, HttpServer, Request, Response};

/// Connections at the same time, each with one request at a time.
const CONNECTIONS: u32 = 64;
/// The responses together. The variable `SQUALL_ANSWERS` sets another number.
const ANSWERS: u32 = 20_000;

/// A body to feed: its number, and where its pieces go.
type Job = (u32, Sender<Bytes>);

/// Feeds each body in one to four pieces, with a pause of the thread after some.
fn feed(jobs: &mpsc::Receiver<Job>) {
    while let Ok((number, pieces)) = jobs.recv() {
        for piece in 0..=number % 4 {
            if number % 7 == piece {
                thread::yield_now();
            }
            let text = format!("{number}.{piece} {}\n", "x".repeat((number % 97) as usize));
            if pieces.send_blocking(text.into()).is_err() {
                break; // the client has left
            }
        }
    }
}

/// The body that [`feed`] makes.
fn wanted(number: u32) -> String {
    let line = |piece| format!("{number}.{piece} {}\n", "x".repeat((number % 97) as usize));
    (0..=number % 4).map(line).collect()
}

fn pieces(from: Receiver<Bytes>) -> impl stream::Stream<Item = io::Result<Bytes>> {
    stream::unfold(from, async |from| from.recv().await.ok().map(|piece| (Ok(piece), from)))
}

/// Reads a chunked response. Returns its body.
async fn read_answer(stream: &mut IoStream) -> io::Result<String> {
    let head = stream.read_until(b"\r\n\r\n").await?;
    assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "{head:?}");
    let mut body = Vec::new();
    loop {
        let line = stream.read_until(b"\r\n").await?;
        let digits = str::from_utf8(&line).unwrap().trim_end();
        let size = usize::from_str_radix(digits, 16).unwrap();
        let chunk = stream.read_bytes(size + 2).await?;
        body.extend_from_slice(&chunk[..size]);
        if size == 0 {
            return Ok(String::from_utf8(body).unwrap());
        }
    }
}

// H11
#[test]
fn bodies_that_another_thread_feeds_arrive_whole() {
    let answers = env::var("SQUALL_ANSWERS").map_or(ANSWERS, |count| count.parse().unwrap());
    let (jobs, queue) = mpsc::channel::<Job>();
    let feeder = thread::spawn(move || feed(&queue));
    let event_loop = EventLoop::new().unwrap();
    let complete = event_loop.block_on(async {
        let server = HttpServer::new(Config::default(), async move |request: &mut Request<'_>| {
            let number = request.path()[1..].parse()?;
            let (sender, receiver) = async_channel::bounded(2);
            jobs.send((number, sender))?;
            Ok(Response::stream(pieces(receiver)))
        });
        let address = server.listen("127.0.0.1:0").unwrap();
        let next = Rc::new(std::cell::Cell::new(0));
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let next = Rc::clone(&next);
                spawn(async move {
                    let mut stream = IoStream::new(TcpStream::connect(address).await?);
                    let mut complete = 0;
                    while next.get() < answers {
                        let number = next.replace(next.get() + 1);
                        stream.write(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n"))?;
                        assert_eq!(read_answer(&mut stream).await?, wanted(number));
                        complete += 1;
                    }
                    io::Result::Ok(complete)
                })
            })
            .collect();
        let mut complete = 0;
        for client in clients {
            complete += client.await.unwrap().unwrap();
        }
        complete
    });
    drop(event_loop); // with the server, and so with the last sender of jobs
    feeder.join().unwrap();
    say(&format!("{complete} bodies from another thread, {} incomplete", answers - complete));
    assert_eq!(complete, answers);
}
