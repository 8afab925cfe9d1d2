//! The connection to the browser: commands with numbers, and the replies that carry them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use async_channel::Sender;
use async_tungstenite::tungstenite::{self, Message};
use async_tungstenite::{WebSocketReceiver, WebSocketSender};
use futures_util::StreamExt;
use serde_json::{Value, json};
use squall_net::executor::future::Future;
use squall_net::{TcpStream, spawn, timeout};

/// The time for a reply. Only a browser that hangs needs it.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// The commands that wait for a reply.
#[derive(Default)]
struct Waiting {
    replies: RefCell<HashMap<u64, Future<Value>>>,
}

/// Sends commands to the browser. Clones share the connection, which ends when the last is dropped.
#[derive(Clone)]
pub(crate) struct Connection {
    commands: Sender<String>,
    waiting: Rc<Waiting>,
    last_number: Rc<Cell<u64>>,
}

impl Connection {
    /// Connects to a URL of the form `ws://127.0.0.1:port/path`.
    pub(crate) async fn connect(url: &str) -> io::Result<Connection> {
        let malformed =
            || io::Error::new(io::ErrorKind::InvalidInput, format!("no address in {url}"));
        let address = url.strip_prefix("ws://").and_then(|rest| rest.split('/').next());
        let transport = TcpStream::connect(address.ok_or_else(malformed)?).await?;
        let (socket, _) =
            async_tungstenite::client_async(url, transport).await.map_err(io::Error::other)?;
        let (sender, replies) = socket.split();
        let (commands, queue) = async_channel::unbounded();
        let waiting = Rc::new(Waiting::default());
        spawn(send(queue, sender));
        spawn(receive(replies, Rc::clone(&waiting)));
        Ok(Connection { commands, waiting, last_number: Rc::default() })
    }

    /// Sends a command, to a page if `session` is given, and waits for its result.
    pub(crate) async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> io::Result<Value> {
        let number = self.last_number.get() + 1;
        self.last_number.set(number);
        let mut command = json!({ "id": number, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let reply = Future::new();
        self.waiting.replies.borrow_mut().insert(number, reply.clone());
        let sent = self.commands.try_send(command.to_string());
        let reply = match sent {
            Ok(()) => timeout(REPLY_TIMEOUT, reply.ready()).await.map(|_| reply.take()),
            Err(_) => Ok(None),
        };
        self.waiting.replies.borrow_mut().remove(&number);
        let reply =
            reply.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, method.to_owned()))?;
        let mut reply = reply.ok_or(io::ErrorKind::ConnectionAborted)?;
        match reply.get("error") {
            Some(error) => Err(io::Error::other(format!("{method}: {error}"))),
            None => Ok(reply["result"].take()),
        }
    }
}

async fn send(queue: async_channel::Receiver<String>, mut sender: WebSocketSender<TcpStream>) {
    while let Ok(command) = queue.recv().await {
        if let Err(error) = sender.send(Message::text(command)).await {
            log::debug!("the browser takes no more commands: {error}");
            return;
        }
    }
}

/// Hands each reply to its command. At the end, every command that still waits is cancelled.
async fn receive(mut replies: WebSocketReceiver<TcpStream>, waiting: Rc<Waiting>) {
    loop {
        match replies.next().await {
            Some(Ok(Message::Text(text))) => deliver(&text, &waiting),
            Some(Ok(_)) => {}
            Some(Err(tungstenite::Error::ConnectionClosed)) | None => break,
            Some(Err(error)) => {
                log::debug!("the connection to the browser has failed: {error}");
                break;
            }
        }
    }
    let left = std::mem::take(&mut *waiting.replies.borrow_mut());
    for reply in left.values() {
        reply.cancel();
    }
}

/// Sets the result of the command that this reply belongs to. Events belong to none.
fn deliver(text: &str, waiting: &Waiting) {
    let Ok(reply) = serde_json::from_str::<Value>(text) else { return };
    let Some(number) = reply["id"].as_u64() else { return };
    let waiter = waiting.replies.borrow_mut().remove(&number);
    if let Some(waiter) = waiter {
        let _ = waiter.set_result(reply); // the caller may have given up
    }
}
