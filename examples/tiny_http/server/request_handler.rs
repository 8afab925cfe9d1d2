//! What answers requests: a closure, or a type with a method for each method of HTTP.

use http::Method;
use http::header::{ALLOW, HeaderValue};

use crate::server::http_error::HttpError;
use crate::server::request::Request;
use crate::server::response::Response;

/// The result of a handler.
pub type HandlerResult = Result<Response, HttpError>;

/// Answers requests. Tornado: `RequestHandler`.
///
/// A closure of the form `async |request: &mut Request<'_>| …` is a handler. So is an
/// [`Application`](crate::Application), which passes requests on to others. A type of your own
/// lists its [`methods`](Self::methods) and writes the functions for them; `OPTIONS`, `HEAD` and the
/// 405 for all others come by themselves.
///
/// One value serves all requests of its route, also several at a time. What belongs to one request
/// is a local variable, or comes from the [`Request`].
///
/// ```
/// use http::Method;
/// use tiny_http::{Application, HandlerResult, Request, RequestHandler, Response};
///
/// struct Counter(std::cell::Cell<u32>);
///
/// impl RequestHandler for Counter {
///     fn methods(&self) -> &[Method] {
///         &[Method::GET, Method::POST]
///     }
///
///     async fn get(&self, _request: &mut Request<'_>) -> HandlerResult {
///         Ok(Response::text(self.0.get().to_string()))
///     }
///
///     async fn post(&self, request: &mut Request<'_>) -> HandlerResult {
///         let step: u32 = request.form().await?.parsed("step")?;
///         self.0.set(self.0.get() + step);
///         self.get(request).await
///     }
/// }
///
/// let application = Application::new().route("/counter", Counter(0.into()));
/// ```
#[allow(
    async_fn_in_trait,
    reason = "a handler runs on one thread, so its futures need not be Send"
)]
pub trait RequestHandler {
    /// The methods that have a function here. `GET` includes `HEAD`.
    fn methods(&self) -> &[Method] {
        &[]
    }

    /// Runs before the function of the method, and before the body is read. A response that it
    /// returns is the answer, and the function does not run.
    async fn prepare(&self, request: &mut Request<'_>) -> Result<Option<Response>, HttpError> {
        let _ = request;
        Ok(None)
    }

    /// Answers `GET` and `HEAD`. The server leaves out the body in response to `HEAD`.
    async fn get(&self, request: &mut Request<'_>) -> HandlerResult {
        self.other(request).await
    }

    /// Answers `POST`.
    async fn post(&self, request: &mut Request<'_>) -> HandlerResult {
        self.other(request).await
    }

    /// Answers `PUT`.
    async fn put(&self, request: &mut Request<'_>) -> HandlerResult {
        self.other(request).await
    }

    /// Answers `PATCH`.
    async fn patch(&self, request: &mut Request<'_>) -> HandlerResult {
        self.other(request).await
    }

    /// Answers `DELETE`.
    async fn delete(&self, request: &mut Request<'_>) -> HandlerResult {
        self.other(request).await
    }

    /// Answers the other [`methods`](Self::methods).
    async fn other(&self, request: &mut Request<'_>) -> HandlerResult {
        without_function(request.method(), self.methods())
    }

    /// Runs after the handler, with the outcome: a response that is not yet sent, or an error that
    /// has no page yet. It does not run if the handler panics, or the client leaves first.
    fn on_finish(&self, request: &Request<'_>, outcome: &HandlerResult) {
        let _ = (request, outcome);
    }

    /// Answers a request: calls the functions above. A closure is called instead.
    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        let outcome = answer(self, request).await;
        self.on_finish(request, &outcome);
        outcome
    }
}

/// Calls the functions of `handler` in their order.
async fn answer<H: RequestHandler + ?Sized>(
    handler: &H,
    request: &mut Request<'_>,
) -> HandlerResult {
    let Some(method) = listed(request, handler.methods()).cloned() else {
        return without_function(request.method(), handler.methods());
    };
    if let Some(response) = handler.prepare(request).await? {
        return Ok(response);
    }
    match method {
        Method::GET => handler.get(request).await,
        Method::POST => handler.post(request).await,
        Method::PUT => handler.put(request).await,
        Method::PATCH => handler.patch(request).await,
        Method::DELETE => handler.delete(request).await,
        _ => handler.other(request).await,
    }
}

/// The method of a list that a request belongs to: its own, or `GET` for `HEAD`.
pub(crate) fn listed<'m>(request: &Request<'_>, methods: &'m [Method]) -> Option<&'m Method> {
    let find = |wanted: &Method| methods.iter().find(|method| *method == wanted);
    find(request.method()).or_else(|| find(request.routed_method()))
}

/// The answer to a method that is not among the `methods` of a handler: the list of them. It is what
/// `OPTIONS` asks for, and belongs to a 405.
pub(crate) fn without_function(method: &Method, methods: &[Method]) -> HandlerResult {
    let mut allow: Vec<_> = methods.iter().map(Method::as_str).collect();
    if methods.contains(&Method::GET) {
        allow.push("HEAD");
    }
    allow.push("OPTIONS");
    allow.sort_unstable();
    allow.dedup();
    let allow = HeaderValue::from_str(&allow.join(", ")).expect("methods are tokens");
    match *method {
        Method::OPTIONS => Ok(Response::new(None, "").with(ALLOW, allow)),
        _ => Err(HttpError::not_allowed(allow)),
    }
}

impl<F> RequestHandler for F
where
    F: AsyncFn(&mut Request<'_>) -> HandlerResult,
{
    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        self(request).await
    }
}
