//! An HTTP/1.1 client with a pool of kept connections: Tornado's `AsyncHTTPClient`, and an example of
//! a library on squall.
//!
//! Open `http_client.rs` first: it takes one request from its turn in the queue, over redirects, to the
//! head of the last answer.
//!
//! ```text
//!   http_client ──▶ request_parts   what is sent, and where a redirect leads: fetch_request builds it
//!       │  │  │          └──▶ url, basic_auth
//!       │  │  └─────▶ slots         how many requests run at a time
//!       │  ├────────▶ pool          the idle connections
//!       │  └────────▶ connector     new connections, with or without tls
//!       ▼
//!    exchange ──▶ upload            sends a body while the answer is read
//!       │   └───▶ answer_head       where the answer's body ends
//!       ▼
//!    response_body                  reads the body, then returns the connection to the pool
//! ```
//!
//! `httparse` parses the head of an answer, `iri-string` the URLs, and [`tiny_http::chunked`] the
//! chunks of a body. https URLs need the feature `tls`.

mod answer_head;
mod basic_auth;
mod byte_stream;
mod client_config;
mod client_response;
mod connector;
mod deadline;
mod exchange;
mod fetch_error;
mod fetch_request;
mod http_client;
mod pool;
mod request_head;
mod request_parts;
mod response_body;
mod slots;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "without_tls.rs"]
mod tls;
mod upload;
mod url;

pub use client_config::ClientConfig;
pub use client_response::{ClientResponse, Timings};
pub use fetch_error::FetchError;
pub use fetch_request::FetchRequest;
pub use http_client::HttpClient;
pub use response_body::ResponseBody;
