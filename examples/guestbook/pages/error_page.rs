//! The page of an error.

use http::StatusCode;
use tiny_http::Response;

use crate::pages::html::{Html, Value};

/// The page for `status`. `message` says more, if it is not empty.
pub(crate) fn error_page(status: StatusCode, message: &str) -> Response {
    let name = status.canonical_reason().unwrap_or("Error");
    let message = match message {
        "" if status == StatusCode::NOT_FOUND => "There is nothing at this address.",
        "" => "The guestbook cannot answer this.",
        message => message,
    };
    let html = Html::of(
        include_str!("error.html"),
        &[
            ("code", Value::Text(status.as_str())),
            ("name", Value::Text(name)),
            ("message", Value::Text(message)),
        ],
    );
    Response::html(html.into_string())
}
