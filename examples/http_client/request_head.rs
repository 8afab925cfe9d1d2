//! The head of a request, as it is sent.

use bytes::Bytes;
use http::HeaderValue;
use http::header::{HOST, USER_AGENT};

use crate::request_parts::{RequestBody, RequestParts};

/// Returns the head with its final empty line. It ends the request if there is no body.
pub(crate) fn request_head(request: &RequestParts, user_agent: &HeaderValue) -> Bytes {
    let mut text = Vec::with_capacity(256);
    for part in [request.method.as_str(), " ", &request.url.target, " HTTP/1.1\r\n"] {
        text.extend_from_slice(part.as_bytes());
    }
    if !request.headers.contains_key(HOST) {
        field(&mut text, "host", request.url.origin.authority().as_bytes());
    }
    for (name, value) in &request.headers {
        field(&mut text, name.as_str(), value.as_bytes());
    }
    if !request.headers.contains_key(USER_AGENT) {
        field(&mut text, "user-agent", user_agent.as_bytes());
    }
    match &request.body {
        RequestBody::Absent => {}
        RequestBody::Whole(body) => content_length(&mut text, body.len() as u64),
        RequestBody::Stream { length: Some(length), .. } => content_length(&mut text, *length),
        RequestBody::Stream { length: None, .. } => {
            field(&mut text, "transfer-encoding", b"chunked");
        }
    }
    if request.expects_continue && !matches!(request.body, RequestBody::Absent) {
        field(&mut text, "expect", b"100-continue");
    }
    text.extend_from_slice(b"\r\n");
    text.into()
}

fn content_length(text: &mut Vec<u8>, length: u64) {
    field(text, "content-length", itoa::Buffer::new().format(length).as_bytes());
}

/// Appends a field. Neither the name nor the value contains a line end: their types exclude it.
fn field(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::url::Url;

    fn request(method: Method, url: &str) -> RequestParts {
        RequestParts::new(method, Url::parse(url).unwrap())
    }

    fn text_of(request: &RequestParts) -> String {
        let head = request_head(request, &HeaderValue::from_static("agent"));
        String::from_utf8(head.to_vec()).unwrap()
    }

    // HTC-25
    #[test]
    fn the_host_has_the_port_and_no_credentials() {
        let text = text_of(&request(Method::GET, "http://u:p@x:81/a?b"));
        assert_eq!(text, "GET /a?b HTTP/1.1\r\nhost: x:81\r\nuser-agent: agent\r\n\r\n");
        let text = text_of(&request(Method::GET, "https://[::1]:443"));
        assert_eq!(text, "GET / HTTP/1.1\r\nhost: [::1]\r\nuser-agent: agent\r\n\r\n");
    }

    // HTC-25
    #[test]
    fn host_and_user_agent_of_the_caller_replace_the_defaults() {
        let mut request = request(Method::GET, "http://x/");
        request.headers.insert(HOST, HeaderValue::from_static("y"));
        request.headers.insert(USER_AGENT, HeaderValue::from_static("mine"));
        assert_eq!(text_of(&request), "GET / HTTP/1.1\r\nhost: y\r\nuser-agent: mine\r\n\r\n");
    }

    #[test]
    fn the_body_decides_the_framing() {
        let mut request = request(Method::PUT, "http://x/");
        request.expects_continue = true;
        request.body = RequestBody::Whole(Bytes::from_static(b"abc"));
        assert!(text_of(&request).ends_with("content-length: 3\r\nexpect: 100-continue\r\n\r\n"));
        request.expects_continue = false;
        request.body = RequestBody::Stream { pieces: None, length: Some(0) };
        assert!(text_of(&request).ends_with("agent\r\ncontent-length: 0\r\n\r\n"));
        request.body = RequestBody::Stream { pieces: None, length: None };
        assert!(text_of(&request).ends_with("agent\r\ntransfer-encoding: chunked\r\n\r\n"));
    }
}
