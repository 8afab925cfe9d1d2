//! A chat server on this thread's loop, and clients for it.

#![allow(dead_code, reason = "no test program uses all of this module")]

pub(crate) mod process;

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use async_tungstenite::tungstenite::{Error, Message};
use futures_util::StreamExt;
use serde_json::{Value, json};
use squall_chat::{Chat, Limits, application};
use squall_net::{IoStream, TcpStream, timeout};
use tiny_http::{Config, HttpServer};

/// The limit of every wait. Only a test that hangs reaches it.
pub(crate) const WATCHDOG: Duration = Duration::from_secs(30);

/// Waits for `work`. Fails with `what` after [`WATCHDOG`].
pub(crate) async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(WATCHDOG, work).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// A server with its chat.
pub(crate) struct Server {
    pub(crate) chat: Chat,
    pub(crate) http: HttpServer,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(limits: Limits) -> Server {
        Server::with(Chat::in_memory(limits))
    }

    pub(crate) fn with(chat: Chat) -> Server {
        let _ = env_logger::builder().is_test(true).try_init(); // another test may have been first
        let http = HttpServer::new(Config::default(), application(&chat));
        let address = http.listen("127.0.0.1:0").unwrap();
        Server { chat, http, address }
    }

    /// A client that was welcomed to the lobby.
    pub(crate) async fn enter(&self, name: &str) -> Guest {
        let mut guest = Guest::connect(self.address, "lobby").await;
        guest.hello(name, None).await;
        guest
    }
}

/// A client. Its token is made of its name.
pub(crate) struct Guest {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// What the server sent to the hello.
    pub(crate) welcome: Value,
}

/// The token of a person, which is the same in all its windows.
pub(crate) fn token(name: &str) -> String {
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("token-of-a-person-{digits}")
}

/// The request for a WebSocket of the room, as a browser sends it.
pub(crate) fn request(address: SocketAddr, room: &str) -> http::Request<()> {
    let mut request = format!("ws://{address}/room/{room}/socket").into_client_request().unwrap();
    let origin = format!("http://{address}").parse().unwrap();
    request.headers_mut().insert("origin", origin);
    request
}

impl Guest {
    /// Opens a WebSocket, without a hello.
    pub(crate) async fn connect(address: SocketAddr, room: &str) -> Guest {
        Guest::try_connect(address, room).await.unwrap()
    }

    pub(crate) async fn try_connect(address: SocketAddr, room: &str) -> Result<Guest, Error> {
        let stream = TcpStream::connect(address).await?;
        let opening = async_tungstenite::client_async(request(address, room), stream);
        let (socket, _) = within("the handshake", opening).await?;
        Ok(Guest { socket, welcome: Value::Null })
    }

    /// Says who it is, and waits for the welcome. `known` is a history and a number.
    pub(crate) async fn hello(&mut self, name: &str, known: Option<(&str, u64)>) {
        self.send_hello(name, known).await.unwrap();
        self.welcome = self.until("welcome").await;
    }

    pub(crate) async fn send_hello(
        &mut self,
        name: &str,
        known: Option<(&str, u64)>,
    ) -> Result<(), Error> {
        let mut hello = json!({ "type": "hello", "name": name, "token": token(name) });
        if let Some((history, since)) = known {
            hello["history"] = json!(history);
            hello["since"] = json!(since);
        }
        self.send(&hello).await
    }

    pub(crate) async fn say(&mut self, id: &str, text: &str) {
        let message = json!({ "type": "message", "id": id, "text": text });
        self.send(&message).await.unwrap();
    }

    pub(crate) async fn send(&mut self, value: &Value) -> Result<(), Error> {
        within("a send", self.socket.send(Message::text(value.to_string()))).await
    }

    /// The next message of the server.
    pub(crate) async fn next(&mut self) -> Value {
        self.try_next().await.expect("the server sends a message")
    }

    /// The next message of the server; `None` at the end.
    pub(crate) async fn try_next(&mut self) -> Option<Value> {
        within("a message", async {
            loop {
                match self.socket.next().await? {
                    Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                    Ok(Message::Ping(_) | Message::Pong(_)) => {}
                    Ok(_) | Err(_) => return None,
                }
            }
        })
        .await
    }

    /// The next message of this type. Throws the others away.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let message = self.next().await;
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// The texts of the next `count` messages of people.
    pub(crate) async fn texts(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            let message = self.until("message").await;
            texts.push(message["text"].as_str().unwrap().to_owned());
        }
        texts
    }

    /// Waits for the close frame and returns its code. Throws messages away.
    pub(crate) async fn close_code(&mut self) -> CloseCode {
        within("a close frame", async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => return frame.code,
                    Some(Ok(Message::Text(_) | Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("no close frame: {other:?}"),
                }
            }
        })
        .await
    }
}

/// Opens a WebSocket of the lobby and returns its stream, to write frames by hand.
pub(crate) async fn raw(address: SocketAddr) -> IoStream {
    let mut stream = IoStream::new(TcpStream::connect(address).await.unwrap());
    stream
        .write(
            "GET /room/lobby/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    let head = within("the handshake", stream.read_until(b"\r\n\r\n")).await.unwrap();
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{head:?}");
    stream
}

/// Asks over HTTP. Returns the head and the body of the response.
pub(crate) async fn get(address: SocketAddr, target: &str, fields: &str) -> (String, String) {
    let mut stream = IoStream::new(TcpStream::connect(address).await.unwrap());
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n");
    stream.write(request).unwrap();
    let answer = within("an answer", stream.read_until_close()).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    (head.to_owned(), body.to_owned())
}

/// Prints a line that the test runner does not capture.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
