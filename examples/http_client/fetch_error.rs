//! Why a fetch failed.

use std::error::Error;
use std::fmt;
use std::io;

use squall_net::StreamError;
use tiny_http::chunked::ChunkError;

use crate::client_response::ClientResponse;

/// Why a fetch failed. Tornado: `HTTPClientError`, and status 599 for all but [`Status`].
///
/// [`Status`]: FetchError::Status
#[derive(Debug)]
#[non_exhaustive]
pub enum FetchError {
    /// The request, or the one that a redirect leads to, is not valid. It was not sent.
    InvalidRequest(&'static str),
    /// The request did not get its turn within the queue timeout.
    QueueTimeout,
    /// There was no connection within the connect timeout.
    ConnectTimeout,
    /// There was no complete answer within the request timeout.
    RequestTimeout,
    /// The name could not be looked up, no address accepted the connection, or the TLS handshake
    /// failed.
    Connect(io::Error),
    /// The connection ended or broke. If the request was sent, the server may have processed it.
    Connection(io::Error),
    /// The connection ended in the middle of the answer.
    Truncated,
    /// The stream of the request's body failed, or did not have the length that was announced.
    RequestBody(io::Error),
    /// The answer violates HTTP/1.1.
    InvalidAnswer(&'static str),
    /// The answer's head, body or trailers exceed their limit.
    TooLarge(&'static str),
    /// The answer's status is not a success (2xx). The answer is whole.
    Status(Box<ClientResponse>),
}

impl From<StreamError> for FetchError {
    fn from(error: StreamError) -> FetchError {
        FetchError::Connection(error.into())
    }
}

impl From<ChunkError> for FetchError {
    fn from(error: ChunkError) -> FetchError {
        match error {
            ChunkError::Malformed(why) => FetchError::InvalidAnswer(why),
            ChunkError::BodyTooLarge => FetchError::TooLarge("the body is larger than the limit"),
            ChunkError::TrailersTooLarge => {
                FetchError::TooLarge("the trailers are larger than the limit")
            }
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FetchError::InvalidRequest(why) => write!(f, "invalid request: {why}"),
            FetchError::QueueTimeout => f.write_str("timeout in the request queue"),
            FetchError::ConnectTimeout => f.write_str("timeout while connecting"),
            FetchError::RequestTimeout => f.write_str("timeout during the request"),
            FetchError::Connect(error) => write!(f, "cannot connect: {error}"),
            FetchError::Connection(error) => write!(f, "the connection failed: {error}"),
            FetchError::Truncated => f.write_str("the connection ended inside the answer"),
            FetchError::RequestBody(error) => write!(f, "the request's body failed: {error}"),
            FetchError::InvalidAnswer(why) => write!(f, "invalid answer: {why}"),
            FetchError::TooLarge(why) => f.write_str(why),
            FetchError::Status(response) => write!(f, "status {}", response.status()),
        }
    }
}

impl Error for FetchError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            FetchError::Connect(error)
            | FetchError::Connection(error)
            | FetchError::RequestBody(error) => Some(error),
            _ => None,
        }
    }
}

impl From<FetchError> for io::Error {
    fn from(error: FetchError) -> io::Error {
        let kind = match &error {
            FetchError::InvalidRequest(_) => io::ErrorKind::InvalidInput,
            FetchError::QueueTimeout | FetchError::ConnectTimeout | FetchError::RequestTimeout => {
                io::ErrorKind::TimedOut
            }
            FetchError::Connect(error)
            | FetchError::Connection(error)
            | FetchError::RequestBody(error) => error.kind(),
            FetchError::Truncated => io::ErrorKind::UnexpectedEof,
            FetchError::InvalidAnswer(_) | FetchError::TooLarge(_) => io::ErrorKind::InvalidData,
            FetchError::Status(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

const _: () = {
    const fn is_error<T: Error + Send + Sync>() {}
    is_error::<FetchError>();
};
