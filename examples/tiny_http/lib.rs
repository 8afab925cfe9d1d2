//! A tiny HTTP/1.1 server: an example of a library on squall.
//!
//! `httparse` parses heads; methods, statuses and fields are types of `http`. This library does
//! the rest: framing, keep-alive, pipelining, limits, deadlines and a graceful shutdown; routes,
//! arguments and error pages.
//!
//! Open `server/connection.rs` first: it serves one connection, from the first byte to the last.
//! Then `application/application.rs`, which finds the handler of a request. The client that goes with
//! it is the library `http_client`.
//!
//! ```text
//!   HttpServer ──▶ Connection ──▶ Request ──▶ Application ──▶ RequestHandler ──▶ Response
//! ```
//!
//! ```
//! use squall_net::{IoStream, TcpStream, block_on};
//! use tiny_http::{Application, Config, HttpServer, Request, Response};
//!
//! block_on(async {
//!     let application = Application::new().get("/{what}", async |request: &mut Request<'_>| {
//!         Ok(Response::text(format!("you asked for {}", request.path_argument("what"))))
//!     });
//!     let server = HttpServer::new(Config::default(), application);
//!     let address = server.listen("127.0.0.1:0")?;
//!     let mut client = IoStream::new(TcpStream::connect(address).await?);
//!     client.write("GET /tea HTTP/1.0\r\n\r\n")?;
//!     let answer = client.read_until_close().await?;
//!     assert!(answer.ends_with(b"you asked for tea"));
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```

mod application;
pub mod chunked;
mod server;

pub use application::application::Application;
pub use application::max_delay::MaxDelay;
pub use application::static_files::StaticFiles;
pub use server::arguments::Arguments;
pub use server::config::Config;
/// The parser of heads, for the fuzz targets. Not a part of the interface.
#[doc(hidden)]
pub use server::head::{Framing, Head};
pub use server::http_error::HttpError;
pub use server::http_server::HttpServer;
#[doc(hidden)]
pub use server::rejection::Rejection;
pub use server::request::Request;
pub use server::request_handler::{HandlerResult, RequestHandler};
pub use server::response::Response;
