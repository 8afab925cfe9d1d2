//! Header fields that every response carries.

use http::header::{CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use tiny_http::{HandlerResult, Request, RequestHandler};

/// Styles, scripts and pictures come from this site's own files, and nothing comes from elsewhere.
/// Text that a visitor has smuggled into a page would still not run. `blob:` shows a picture before
/// it is sent.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Adds the fields to the responses of another handler.
#[derive(Debug)]
pub(crate) struct SafeHeaders<H>(pub(crate) H);

impl<H: RequestHandler> RequestHandler for SafeHeaders<H> {
    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        let response = self.0.handle(request).await?;
        Ok(response
            .with(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY))
            .with(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
            .with(REFERRER_POLICY, HeaderValue::from_static("same-origin")))
    }
}
