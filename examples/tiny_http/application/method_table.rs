//! A handler for each method of one route.

use http::Method;

use crate::application::any_handler::AnyHandler;
use crate::server::request::Request;
use crate::server::request_handler::{HandlerResult, RequestHandler, without_function};

/// The handlers of one route. Answers `OPTIONS`, and 405 to methods without a handler.
#[derive(Default)]
pub(crate) struct MethodTable {
    /// The methods of `handlers`, in the same order.
    methods: Vec<Method>,
    handlers: Vec<Box<dyn AnyHandler>>,
}

impl MethodTable {
    /// Adds a handler. The first one for a method stays.
    pub(crate) fn add(&mut self, method: Method, handler: Box<dyn AnyHandler>) {
        self.methods.push(method);
        self.handlers.push(handler);
    }
}

impl RequestHandler for MethodTable {
    fn methods(&self) -> &[Method] {
        &self.methods
    }

    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        let method = request.routed_method();
        match self.methods.iter().position(|known| known == method) {
            Some(at) => self.handlers[at].handle_boxed(request).await,
            None => Ok(without_function(method, &self.methods)),
        }
    }
}
