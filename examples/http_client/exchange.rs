//! One request and its answer on a connection.
//!
//! The body of the request is sent whenever the answer is awaited. So an answer that comes early is
//! read, and a server that answers while it reads is served too.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use http::{HeaderValue, Method, StatusCode};

use crate::answer_head::{AnswerHead, has_empty_line};
use crate::byte_stream::ByteStream;
use crate::fetch_error::FetchError;
use crate::request_head::request_head;
use crate::request_parts::RequestParts;
use crate::upload::{Upload, UploadError};

/// The most interim answers (1xx) before the final one.
const MAX_INTERIM: usize = 16;

/// A connection on which a request was sent, at least in part.
pub(crate) struct Exchange {
    stream: Box<dyn ByteStream>,
    /// The part of the request's body that is not queued yet.
    upload: Option<Upload>,
    /// The server will not get the whole request, so the connection cannot carry another.
    is_cut: bool,
    /// An interim answer came.
    is_begun: bool,
}

impl Exchange {
    /// Queues the head of the request, and takes its body.
    pub(crate) fn begin(
        mut stream: Box<dyn ByteStream>,
        request: &mut RequestParts,
        user_agent: &HeaderValue,
    ) -> Exchange {
        let head = request_head(request, user_agent);
        // If the connection is closed already, the read of the answer reports it.
        let is_cut = stream.write(head).is_err();
        Exchange { stream, upload: Upload::begin(request), is_cut, is_begun: false }
    }

    /// Reads the head of the final answer to a request with this method.
    pub(crate) async fn head(
        &mut self,
        method: &Method,
        max_bytes: usize,
    ) -> Result<AnswerHead, FetchError> {
        for _ in 0..=MAX_INTERIM {
            let head = self.any_head(method, max_bytes).await?;
            match head.status {
                StatusCode::CONTINUE => self.upload.iter_mut().for_each(Upload::release),
                StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(FetchError::InvalidAnswer("the server switches the protocol"));
                }
                status if status.is_informational() => {}
                status => {
                    self.cut_unwanted_body(status);
                    return Ok(head);
                }
            }
            self.is_begun = true;
        }
        Err(FetchError::InvalidAnswer("there are too many interim answers"))
    }

    async fn any_head(
        &mut self,
        method: &Method,
        max_bytes: usize,
    ) -> Result<AnswerHead, FetchError> {
        let mut searched = 0;
        loop {
            let data = self.stream.buffer();
            let data = &data[..data.len().min(max_bytes)];
            // Parsed only once, so that the cost is linear even if the head comes byte by byte.
            if has_empty_line(&data[searched..]) {
                let parsed = AnswerHead::parse(data, method).map_err(FetchError::InvalidAnswer);
                let (head, length) = parsed?;
                self.stream.consume(length);
                return Ok(head);
            }
            if data.len() == max_bytes {
                return Err(FetchError::TooLarge("the head is larger than the limit"));
            }
            searched = data.len().saturating_sub(2);
            if self.fill().await? == 0 {
                return Err(self.end_before_answer());
            }
        }
    }

    fn end_before_answer(&self) -> FetchError {
        if !self.is_unanswered() {
            return FetchError::Truncated;
        }
        let text = "the server has closed the connection without an answer";
        FetchError::Connection(io::Error::new(io::ErrorKind::UnexpectedEof, text))
    }

    /// Whether no byte of an answer has come.
    pub(crate) fn is_unanswered(&self) -> bool {
        !self.is_begun && self.stream.buffer().is_empty()
    }

    /// Drops the rest of the request's body if the final answer shows that the server does not want
    /// it: the answer is no success, or came instead of `100 Continue`.
    fn cut_unwanted_body(&mut self, status: StatusCode) {
        let is_unwanted = |upload: &Upload| upload.is_held() || !status.is_success();
        if self.upload.as_ref().is_some_and(is_unwanted) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.upload = None;
        self.is_cut = true;
    }

    /// The bytes of the answer that were received and not consumed.
    pub(crate) fn buffer(&self) -> &[u8] {
        self.stream.buffer()
    }

    pub(crate) fn consume(&mut self, n: usize) {
        self.stream.consume(n);
    }

    /// Sends the request's body and reads once. Returns the number of bytes; 0 at the end of the
    /// stream.
    pub(crate) async fn fill(&mut self) -> Result<usize, FetchError> {
        poll_fn(|cx| {
            self.poll_upload(cx)?;
            self.stream.poll_fill(cx).map_err(FetchError::from)
        })
        .await
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), FetchError> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        match upload.poll(cx, &mut *self.stream) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.upload = None,
            // The server may have answered before it closed, so the answer is still read.
            Poll::Ready(Err(UploadError::Connection)) => self.cut(),
            Poll::Ready(Err(UploadError::Body(error))) => {
                return Err(FetchError::RequestBody(error));
            }
        }
        Ok(())
    }

    /// Returns the connection after the end of the answer, or `None` if it cannot carry another
    /// request: a part of this one was not sent, or the server has sent more than its answer.
    pub(crate) fn into_idle(self) -> Option<Box<dyn ByteStream>> {
        let is_sent = self.upload.is_none() && !self.is_cut && self.stream.queued() == 0;
        (is_sent && self.stream.buffer().is_empty()).then_some(self.stream)
    }
}

#[cfg(test)]
mod tests {
    use squall_net::StreamError;

    use super::*;
    use crate::request_parts::RequestBody;
    use crate::url::Url;

    /// A stream of which only the amounts of unsent and unread bytes matter.
    struct Fake {
        queued: usize,
        buffer: &'static [u8],
        is_open: bool,
    }

    impl ByteStream for Fake {
        fn buffer(&self) -> &[u8] {
            self.buffer
        }

        fn consume(&mut self, n: usize) {
            self.buffer = &self.buffer[n..];
        }

        fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<usize, StreamError>> {
            Poll::Ready(Ok(0))
        }

        fn write(&mut self, _: bytes::Bytes) -> Result<(), StreamError> {
            if self.is_open { Ok(()) } else { Err(StreamError::Closed { cause: None }) }
        }

        fn queued(&self) -> usize {
            self.queued
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamError>> {
            Poll::Pending
        }

        fn close(&mut self) {}
    }

    // H13
    #[test]
    fn a_connection_is_idle_only_when_all_was_sent_and_nothing_more_came() {
        let url = Url::parse("http://x/").unwrap();
        let is_idle = |stream, body| {
            let mut request = RequestParts::new(Method::PUT, url.clone());
            request.body = body;
            let agent = HeaderValue::from_static("x");
            Exchange::begin(Box::new(stream), &mut request, &agent).into_idle().is_some()
        };
        let idle = || Fake { queued: 0, buffer: b"", is_open: true };
        assert!(is_idle(idle(), RequestBody::Absent));
        assert!(!is_idle(idle(), RequestBody::Whole("x".into())), "the body is not queued yet");
        assert!(!is_idle(Fake { queued: 1, ..idle() }, RequestBody::Absent));
        assert!(!is_idle(Fake { buffer: b"x", ..idle() }, RequestBody::Absent));
        assert!(!is_idle(Fake { is_open: false, ..idle() }, RequestBody::Absent));
    }
}
