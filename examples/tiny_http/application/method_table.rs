//! A handler for each method of one route.

use http::Method;

use crate::application::any_handler::AnyHandler;
use crate::server::request::Request;
use crate::server::request_handler::{HandlerResult, RequestHandler, listed, without_function};

/// The handlers of one route. Answers `OPTIONS`, and 405 to methods without a handler.
#[derive(Default)]
pub(crate) struct MethodTable {
    /// The methods of `handlers`, in the same order.
    methods: Vec<Method>,
    handlers: Vec<Box<dyn AnyHandler>>,
}

impl MethodTable {
    /// Adds a handler.
    ///
    /// # Panics
    /// If the method has one already.
    #[track_caller]
    pub(crate) fn add(&mut self, method: Method, handler: Box<dyn AnyHandler>) {
        assert!(!self.methods.contains(&method), "the route has a handler for {method} already");
        self.methods.push(method);
        self.handlers.push(handler);
    }

    /// Whether a handler or the table itself serves the request's method.
    pub(crate) fn serves(&self, request: &Request<'_>) -> bool {
        listed(request, &self.methods).is_some()
    }
}

impl RequestHandler for MethodTable {
    fn methods(&self) -> &[Method] {
        &self.methods
    }

    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        let method = listed(request, &self.methods);
        match method.and_then(|method| self.methods.iter().position(|known| known == method)) {
            Some(at) => self.handlers[at].handle_boxed(request).await,
            None => without_function(request.method(), &self.methods),
        }
    }
}
