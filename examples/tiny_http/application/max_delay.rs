//! Keeps an overloaded server quick, by refusing the requests for which it has no time.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use squall_net::{now, turn_time};

use crate::server::request::Request;
use crate::server::request_handler::{HandlerResult, RequestHandler};
use crate::server::response::Response;

/// A handler that refuses a request if the loop has been busy for too long before it: the response
/// is 503 with `Retry-After`.
///
/// The time counts from the [`turn_time`], at which the request was there or not yet, and everything
/// that ran since counts. A server that is asked for more than its thread can compute then answers as
/// many requests as it can, each soon, and refuses the others at once. Without a limit it would
/// answer all of them later and later.
///
/// ```
/// use std::time::Duration;
/// use tiny_http::{Config, HttpServer, MaxDelay, Request, Response};
///
/// let work = async |_: &mut Request<'_>| Ok(Response::text("done"));
/// let server = HttpServer::new(Config::default(), MaxDelay::new(Duration::from_millis(10), work));
/// ```
#[derive(Debug)]
pub struct MaxDelay<H> {
    limit: Duration,
    handler: H,
}

impl<H: RequestHandler> MaxDelay<H> {
    /// Wraps a handler.
    pub fn new(limit: Duration, handler: H) -> MaxDelay<H> {
        MaxDelay { limit, handler }
    }
}

impl<H: RequestHandler> RequestHandler for MaxDelay<H> {
    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        if now() - turn_time() > self.limit {
            let refusal = Response::status(StatusCode::SERVICE_UNAVAILABLE);
            return Ok(refusal.with(RETRY_AFTER, HeaderValue::from_static("1")));
        }
        self.handler.handle(request).await
    }
}
