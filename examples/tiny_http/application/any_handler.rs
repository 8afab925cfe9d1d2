//! Handlers of different types in one list.

use std::pin::Pin;

use crate::server::request::Request;
use crate::server::request_handler::{HandlerResult, RequestHandler};

/// A handler of any type. Costs one allocation a request, for the future.
pub(crate) trait AnyHandler {
    fn handle_boxed<'a>(
        &'a self,
        request: &'a mut Request<'_>,
    ) -> Pin<Box<dyn Future<Output = HandlerResult> + 'a>>;
}

impl<H: RequestHandler> AnyHandler for H {
    fn handle_boxed<'a>(
        &'a self,
        request: &'a mut Request<'_>,
    ) -> Pin<Box<dyn Future<Output = HandlerResult> + 'a>> {
        Box::pin(self.handle(request))
    }
}
