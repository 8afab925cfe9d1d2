//! hyper on squall: the traits of `hyper::rt` for streams, tasks and timers of this thread's loop.
//!
//! [`Io`] is the transport of a connection, [`Executor`] runs the tasks of HTTP/2, and [`Timer`]
//! runs hyper's deadlines. A server without a timer lets a client that sends no request stay for
//! ever.
//!
//! Nothing has to be `Send`: services and bodies may hold an `Rc`. A connection is a future like any
//! other: await it in the handler of a [`TcpServer`](crate::TcpServer), or [`spawn`](crate::spawn)
//! it.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http_body_util::{BodyExt, Empty, Full};
//! use hyper::body::{Bytes, Incoming};
//! use hyper::service::service_fn;
//! use hyper::{Request, Response};
//! use squall_net::hyper::{Io, Timer};
//! use squall_net::{IoStream, TcpServer, TcpStream, block_on, spawn};
//!
//! block_on(async {
//!     let server = TcpServer::new(async |stream: IoStream, peer| {
//!         let hello = async |_: Request<Incoming>| {
//!             Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
//!         };
//!         let mut http = hyper::server::conn::http1::Builder::new();
//!         http.timer(Timer); // else the read of a request has no deadline
//!         if let Err(error) = http.serve_connection(Io::new(stream), service_fn(hello)).await {
//!             println!("the connection of {peer} ended: {error}");
//!         }
//!         Ok(())
//!     });
//!     let address = server.listen("127.0.0.1:0")?;
//!
//!     let stream = IoStream::new(TcpStream::connect(address).await?);
//!     let (mut sender, connection) = hyper::client::conn::http1::handshake(Io::new(stream)).await?;
//!     spawn(connection);
//!     let request = Request::get("/").header("host", "localhost").body(Empty::<Bytes>::new())?;
//!     let body = sender.send_request(request).await?.into_body().collect().await?;
//!     assert_eq!(body.to_bytes(), "hello");
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # HTTP/2
//! [`Executor`] is what the builders of hyper's `http2` modules ask for:
//! `hyper::server::conn::http2::Builder::new(Executor)`.
//!
//! # Upgrades
//! hyper's `with_upgrades` and `hyper::upgrade::on` ask for a transport that is `Send`, and a stream
//! of squall is not. `without_shutdown` returns the stream itself when the connection switches to
//! another protocol:
//!
//! ```
//! # use std::convert::Infallible;
//! # use http_body_util::Empty;
//! # use hyper::body::{Bytes, Incoming};
//! # use hyper::{Request, Response, StatusCode};
//! # use squall_net::{DuplexStream, IoStream, block_on, duplex, spawn};
//! use squall_net::hyper::Io;
//!
//! # async fn switch(_: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
//! #     let mut response = Response::new(Empty::new());
//! #     *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
//! #     response.headers_mut().insert("upgrade", "echo".parse().expect("a valid value"));
//! #     Ok(response)
//! # }
//! async fn serve(stream: IoStream<DuplexStream>) -> hyper::Result<IoStream<DuplexStream>> {
//!     let service = hyper::service::service_fn(switch); // answers with 101 Switching Protocols
//!     let connection =
//!         hyper::server::conn::http1::Builder::new().serve_connection(Io::new(stream), service);
//!     let parts = connection.without_shutdown().await?;
//!     let mut stream = parts.io.into_inner();
//!     stream.unread(&parts.read_buf); // what the client has sent after its request
//!     Ok(stream)
//! }
//! # block_on(async {
//! #     let (here, there) = duplex(1024);
//! #     let server = spawn(serve(IoStream::new(there)));
//! #     let mut client = IoStream::new(here);
//! #     let head = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
//! #     client.write(format!("{head}early")).unwrap();
//! #     let answer = client.read_until(b"\r\n\r\n").await.unwrap();
//! #     assert!(answer.starts_with(b"HTTP/1.1 101"), "{answer:?}");
//! #     assert_eq!(server.await.unwrap().unwrap().read_bytes(5).await.unwrap(), "early");
//! # });
//! ```

mod executor;
mod io;
mod sleep;
mod timer;

pub use executor::Executor;
pub use io::Io;
pub use timer::Timer;
