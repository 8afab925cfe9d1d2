//! A file of the page, which is part of the program.

use std::fmt::Write;

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use sha2::{Digest, Sha256};
use tiny_http::{HandlerResult, Request, RequestHandler, Response};

/// Nothing from other hosts, no script or style inside the page, and no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers with a file, or with 304 if the browser has it.
#[derive(Debug)]
pub(crate) struct Asset {
    content_type: &'static str,
    text: &'static str,
    entity_tag: HeaderValue,
}

impl Asset {
    pub(crate) fn new(content_type: &'static str, text: &'static str) -> Asset {
        let digest = Sha256::digest(text);
        let mut tag = String::from("\"");
        for byte in &digest[..8] {
            let _ = write!(tag, "{byte:02x}"); // writing to a string cannot fail
        }
        tag.push('"');
        let entity_tag = HeaderValue::from_str(&tag).expect("digits are allowed in a field");
        Asset { content_type, text, entity_tag }
    }
}

impl RequestHandler for Asset {
    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        let is_current = self.entity_tag.to_str().is_ok_and(|tag| request.has_current(tag));
        let response = if is_current {
            Response::status(StatusCode::NOT_MODIFIED)
        } else {
            Response::new(Some(HeaderValue::from_static(self.content_type)), self.text)
        };
        let fields: [(HeaderName, &'static str); 4] = [
            (CACHE_CONTROL, "no-cache"), // the browser asks each time whether it is current
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        let response = fields.into_iter().fold(response, |response, (name, value)| {
            response.with(name, HeaderValue::from_static(value))
        });
        Ok(response.with(ETAG, self.entity_tag.clone()))
    }
}
