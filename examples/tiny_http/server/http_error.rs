//! Why a handler has no response of its own.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use http::StatusCode;
use http::header::{ALLOW, HeaderValue};

use crate::server::rejection::Rejection;
use crate::server::response::Response;

/// What the client is told of an error that the handler did not expect.
const FAILED: &str = "the handler failed";

/// The error of a handler. Tornado: `HTTPError`.
///
/// The operator `?` turns every other error into one: an error that the handler did not expect is
/// logged, and the client gets a 500 without its text. This type does not implement
/// [`Error`] itself, because that conversion would then contradict std's `From<T> for T`.
///
/// ```
/// use tiny_http::{HttpError, Request, Response};
/// use http::StatusCode;
///
/// async fn double(request: &mut Request<'_>) -> Result<Response, HttpError> {
///     let body = request.body().await?; // 408, 413, or the client has left
///     let text = str::from_utf8(&body)?; // 500
///     let Ok(number) = text.parse::<u32>() else {
///         return Err(HttpError::new(StatusCode::BAD_REQUEST, "a number is needed"));
///     };
///     Ok(Response::text(format!("{}", u64::from(number) * 2)))
/// }
/// ```
#[derive(Debug)]
pub struct HttpError(Reason);

#[derive(Debug)]
enum Reason {
    /// The handler's own decision: the status and a message for the client.
    Status(StatusCode, Cow<'static, str>),
    /// As `Status`, for a mistake of the client that this library has found.
    OfClient(StatusCode, Cow<'static, str>),
    /// The path has no function for the method. The value of `Allow` lists the others.
    NotAllowed(HeaderValue),
    /// An error that the handler did not expect.
    Unexpected(Box<dyn Error>),
    /// The request is malformed or late, or the connection is broken.
    Rejection(Rejection),
}

impl HttpError {
    /// An error response with this status, whose page shows `message`.
    pub fn new(status: StatusCode, message: impl Into<Cow<'static, str>>) -> HttpError {
        HttpError(Reason::Status(status, message.into()))
    }

    /// As [`new`](Self::new), for a mistake of the client. It is not logged as a warning, because any
    /// client can make it.
    pub(crate) fn of_client(
        status: StatusCode,
        message: impl Into<Cow<'static, str>>,
    ) -> HttpError {
        HttpError(Reason::OfClient(status, message.into()))
    }

    /// Status 405. `allow` lists the methods that the path allows, separated by commas.
    pub(crate) fn not_allowed(allow: HeaderValue) -> HttpError {
        HttpError(Reason::NotAllowed(allow))
    }

    /// The value of the field `Allow`, which belongs to a 405.
    pub(crate) fn allow(&self) -> Option<&HeaderValue> {
        match &self.0 {
            Reason::NotAllowed(allow) => Some(allow),
            _ => None,
        }
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        match &self.0 {
            Reason::Status(status, _)
            | Reason::OfClient(status, _)
            | Reason::Rejection(Rejection::Status(status, _)) => *status,
            Reason::NotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Reason::Unexpected(_) | Reason::Rejection(Rejection::Broken(_)) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// What the client is told, beside the status. The text of an unexpected error stays in the
    /// log, because it may tell too much.
    pub fn message(&self) -> &str {
        match &self.0 {
            Reason::Status(_, message) | Reason::OfClient(_, message) => message,
            Reason::Rejection(Rejection::Status(_, why)) => why,
            Reason::Unexpected(_) => FAILED,
            Reason::NotAllowed(_) | Reason::Rejection(Rejection::Broken(_)) => "",
        }
    }

    /// Whether the connection must end, because it is unknown where the next request begins. The
    /// server answers such an error itself.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(self.0, Reason::Rejection(_))
    }

    /// Logs the error: an unexpected one as an error, a handler's decision as a warning. What any
    /// client can cause is logged at debug level, so that it cannot fill the log.
    pub(crate) fn log(&self, method: &http::Method, path: &str) {
        let level = match &self.0 {
            Reason::Status(StatusCode::NOT_FOUND, _) => log::Level::Debug,
            Reason::Status(..) => log::Level::Warn,
            Reason::Unexpected(_) => log::Level::Error,
            Reason::OfClient(..) | Reason::NotAllowed(_) | Reason::Rejection(_) => {
                log::Level::Debug
            }
        };
        log::log!(level, "{method} {path}: {self}");
    }

    /// The response that reports this error.
    ///
    /// # Errors
    /// The rejection, if the error [ends the connection](Self::ends_connection).
    pub(crate) fn into_response(self) -> Result<Response, Rejection> {
        match self.0 {
            Reason::Status(status, message) | Reason::OfClient(status, message) => {
                Ok(Response::error(status, &message))
            }
            Reason::NotAllowed(allow) => {
                Ok(Response::error(StatusCode::METHOD_NOT_ALLOWED, "").with(ALLOW, allow))
            }
            Reason::Unexpected(_) => Ok(Response::error(StatusCode::INTERNAL_SERVER_ERROR, FAILED)),
            Reason::Rejection(rejection) => Err(rejection),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Status(status, message) | Reason::OfClient(status, message) => {
                write!(f, "{}: {message}", status.as_u16())
            }
            Reason::NotAllowed(allow) => {
                write!(f, "405: allowed are {}", allow.to_str().unwrap_or(""))
            }
            Reason::Unexpected(error) => error.fmt(f),
            Reason::Rejection(rejection) => rejection.fmt(f),
        }
    }
}

impl<E: Error + 'static> From<E> for HttpError {
    fn from(error: E) -> HttpError {
        let error: Box<dyn Error> = Box::new(error);
        HttpError(match error.downcast::<Rejection>() {
            Ok(rejection) => Reason::Rejection(*rejection),
            Err(error) => Reason::Unexpected(error),
        })
    }
}
