//! A file that is part of the program.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, ETAG, HeaderValue};
use tiny_http::{HandlerResult, Request, RequestHandler, Response};

/// Serves one text. A browser that has this version of it gets a 304.
#[derive(Debug)]
pub(crate) struct Asset {
    content_type: HeaderValue,
    text: &'static str,
    entity_tag: String,
}

impl Asset {
    pub(crate) fn new(content_type: &'static str, text: &'static str) -> Asset {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let entity_tag = format!("\"{:x}\"", hasher.finish());
        Asset { content_type: HeaderValue::from_static(content_type), text, entity_tag }
    }
}

impl RequestHandler for Asset {
    async fn handle(&self, request: &mut Request<'_>) -> HandlerResult {
        let response = if request.has_current(&self.entity_tag) {
            Response::status(StatusCode::NOT_MODIFIED)
        } else {
            Response::new(Some(self.content_type.clone()), Bytes::from_static(self.text.as_bytes()))
        };
        Ok(response
            .with(CACHE_CONTROL, HeaderValue::from_static("no-cache"))
            .with(ETAG, HeaderValue::from_str(&self.entity_tag)?))
    }
}
