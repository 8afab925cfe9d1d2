//! A tiny HTTP/1.1 server and client: an example of a library on squall.
//!
//! `httparse` parses heads; methods, statuses and fields are types of `http`. This library does
//! the rest: framing, keep-alive, pipelining, limits, deadlines and a graceful shutdown.
//!
//! Open `connection.rs` first: it serves one connection, from the first byte to the last. For the
//! client, open `client/http_client.rs`.
//!
//! ```
//! use squall_net::{IoStream, TcpStream, block_on};
//! use tiny_http::{Config, Request, Response, Server};
//!
//! block_on(async {
//!     let server = Server::new(Config::default(), async |request: &mut Request<'_>| {
//!         Ok(Response::text(format!("you asked for {}", request.path())))
//!     });
//!     let address = server.listen("127.0.0.1:0")?;
//!     let mut client = IoStream::new(TcpStream::connect(address).await?);
//!     client.write("GET /tea HTTP/1.0\r\n\r\n")?;
//!     let answer = client.read_until_close().await?;
//!     assert!(answer.ends_with(b"you asked for /tea"));
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

mod authority;
mod body;
mod chunked;
mod client;
mod config;
mod connection;
mod date;
mod disconnect;
mod head;
mod head_text;
mod rejection;
mod request;
mod response;
mod server;
mod shutdown;
mod wire;

pub use client::{
    ClientConfig, ClientResponse, FetchError, FetchRequest, HttpClient, ResponseBody, Timings,
};
pub use config::Config;
pub use rejection::Rejection;
pub use request::Request;
pub use response::Response;
pub use server::Server;
