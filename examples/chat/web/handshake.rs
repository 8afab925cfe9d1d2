//! The opening handshake of a WebSocket (RFC 6455, 4.2), and who may open one.

use async_tungstenite::tungstenite::handshake::derive_accept_key;
use http::header::{HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{Method, StatusCode};
use squall_net::IoStream;
use tiny_http::{HandlerResult, HttpError, Request, Response};

use crate::chat::Chat;
use crate::session::session;

/// The only version of the protocol.
const VERSION: &str = "13";

/// Answers a request for a WebSocket of the room with this name.
///
/// # Errors
/// 400: the key is malformed, or a field of the handshake is repeated. 403: the page that opens the
/// WebSocket is of another site. 503: there are too many clients.
pub(crate) fn upgrade(chat: &Chat, room: &str, request: &Request<'_>) -> HandlerResult {
    let version = only(request, "sec-websocket-version")?;
    let key = only(request, "sec-websocket-key")?;
    let origin = only(request, "origin")?;
    // A handshake is a GET, and the route gets HEAD too.
    if request.method() != Method::GET || version != Some(VERSION.as_bytes()) {
        return Ok(Response::status(StatusCode::UPGRADE_REQUIRED)
            .with(UPGRADE, HeaderValue::from_static("websocket"))
            .with(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION)));
    }
    let Some(key) = key.filter(|key| is_key(key)) else {
        return Err(HttpError::new(StatusCode::BAD_REQUEST, "Sec-WebSocket-Key is malformed"));
    };
    if origin.is_some_and(|origin| !is_same_origin(origin, request)) {
        return Err(HttpError::new(StatusCode::FORBIDDEN, "the page is of another site"));
    }
    if chat.clients() >= chat.limits().clients {
        return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "there are too many clients"));
    }
    let accept = HeaderValue::from_str(&derive_accept_key(key))?;
    let (chat, room) = (chat.clone(), room.to_owned());
    let run = async move |stream: IoStream| session::serve(&chat, &room, stream).await;
    Ok(Response::upgrade("websocket", run).with(SEC_WEBSOCKET_ACCEPT, accept))
}

/// Whether `key` is 16 bytes in Base64.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(is_digit)
}

/// The value of a field that must not be repeated (RFC 6455, 11.3, and RFC 6454, 7.3).
fn only<'a>(request: &'a Request<'_>, name: &str) -> Result<Option<&'a [u8]>, HttpError> {
    let mut fields = request.headers().filter(|(other, _)| other.eq_ignore_ascii_case(name));
    let value = fields.next().map(|(_, value)| value);
    match fields.next() {
        None => Ok(value),
        Some(_) => {
            Err(HttpError::new(StatusCode::BAD_REQUEST, "a field of the handshake is repeated"))
        }
    }
}

/// Whether the page that opens the WebSocket is of this site. Browsers do not check that for a
/// WebSocket, but they always send the origin. A program may send none.
fn is_same_origin(origin: &[u8], request: &Request<'_>) -> bool {
    let schemes = [&b"https://"[..], b"http://"];
    let authority = schemes.iter().find_map(|scheme| origin.strip_prefix(*scheme));
    match (authority, request.header("host")) {
        (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
        _ => false,
    }
}
