//! The parts of a request's body in the format `multipart/form-data`.
//!
//! The parser is the crate `multer`. It reads from a stream that must be `Send` and `'static`, and
//! a request's body is neither: it is read from the connection that its handler borrows. So
//! [`read_parts`] runs two futures of one task, with a channel for one piece between them:
//!
//! ```text
//!   connection ──next()──▶ feed ──one piece──▶ multer ──chunk()──▶ reader
//! ```
//!
//! While the reader waits, for example for the disk, one piece waits in the channel, one in `feed`,
//! and the next ones in the kernel, which stops the client.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use async_channel::Sender;
use bytes::Bytes;
use futures_lite::future::{or, pending};
use http::StatusCode;
use multer::{Field, Multipart};
use tiny_http::HttpError;

/// The most bytes without a part's head or content among them. The parser would keep them all.
const MAX_UNPARSED: usize = 160 << 10;

/// The most parts of a form. Each costs some work, however short it is.
const MAX_PARTS: usize = 20;

/// Hands out the parts of a body.
pub(crate) struct Parts {
    multipart: Multipart<'static>,
    count: usize,
    unparsed: Unparsed,
}

/// One part of a body.
pub(crate) struct Part {
    field: Field<'static>,
    unparsed: Unparsed,
}

/// The number of bytes that the parser has got since it last returned something.
type Unparsed = Rc<Cell<usize>>;

/// Runs `read` on the parts of a body, whose pieces `next` returns. Ends when `read` does, also if
/// it leaves a rest.
///
/// # Errors
/// Those of `next` and `read`, whichever comes first. 415, if `content_type` is of another format.
pub(crate) async fn read_parts<T>(
    content_type: Option<&[u8]>,
    next: impl AsyncFnMut() -> Result<Option<Bytes>, HttpError>,
    read: impl AsyncFnOnce(Parts) -> Result<T, HttpError>,
) -> Result<T, HttpError> {
    let content_type = content_type.and_then(|value| str::from_utf8(value).ok());
    let boundary = content_type.and_then(|text| multer::parse_boundary(text).ok()).ok_or(
        HttpError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a form of several parts is needed"),
    )?;
    let (sender, receiver) = async_channel::bounded(1);
    let unparsed = Unparsed::default();
    let parts = Parts {
        multipart: Multipart::new(receiver, boundary),
        count: 0,
        unparsed: Rc::clone(&unparsed),
    };
    let fed = async {
        match feed(next, sender, &unparsed).await {
            Ok(()) => pending().await, // the reader has still to take the last piece
            Err(error) => Err(error),
        }
    };
    or(read(parts), fed).await
}

/// Sends the pieces of the body to the parser.
async fn feed(
    mut next: impl AsyncFnMut() -> Result<Option<Bytes>, HttpError>,
    sender: Sender<io::Result<Bytes>>,
    unparsed: &Cell<usize>,
) -> Result<(), HttpError> {
    while let Some(piece) = next().await? {
        unparsed.set(unparsed.get() + piece.len());
        if unparsed.get() > MAX_UNPARSED {
            return Err(malformed());
        }
        if sender.send(Ok(piece)).await.is_err() {
            break; // the reader needs no more
        }
    }
    Ok(())
}

impl Parts {
    /// The next part. `None` after the last one. Skips what is left of the former part.
    ///
    /// # Errors
    /// 400, if the body is malformed, or has too many parts.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, HttpError> {
        let field = self.multipart.next_field().await.map_err(|_| malformed())?;
        self.unparsed.set(0);
        self.count += 1;
        if self.count > MAX_PARTS {
            return Err(HttpError::new(StatusCode::BAD_REQUEST, "there are too many fields"));
        }
        Ok(field.map(|field| Part { field, unparsed: Rc::clone(&self.unparsed) }))
    }
}

impl Part {
    /// The name of the form's field.
    pub(crate) fn name(&self) -> &str {
        self.field.name().unwrap_or_default()
    }

    /// The next piece of the content. `None` at its end.
    ///
    /// # Errors
    /// 400, if the body ends inside the part.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let chunk = self.field.chunk().await.map_err(|_| malformed())?;
        self.unparsed.set(0);
        Ok(chunk)
    }

    /// The whole content as text.
    ///
    /// # Errors
    /// 413, if it is longer than `max_bytes`; 400, if it is not UTF-8; and as [`chunk`](Self::chunk).
    pub(crate) async fn text(mut self, max_bytes: usize) -> Result<String, HttpError> {
        let mut text = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if chunk.len() > max_bytes - text.len() {
                let message = format!("a field is longer than {max_bytes} bytes");
                return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
            }
            text.extend_from_slice(&chunk);
        }
        String::from_utf8(text)
            .map_err(|_| HttpError::new(StatusCode::BAD_REQUEST, "a field is not UTF-8"))
    }
}

fn malformed() -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "the form is malformed")
}

#[cfg(test)]
mod tests {
    use futures_lite::future::{poll_once, yield_now};
    use squall_net::block_on;

    use super::*;

    const TYPE: Option<&[u8]> = Some(b"multipart/form-data; boundary=-x");

    /// A body in which the content of a part looks like the beginning of the boundary.
    const BODY: &str = "---x\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\n\
        Ad\u{e4}\r\n---\r\n---y\r\n---x\r\n\
        Content-Disposition: form-data; name=\"picture\"; filename=\"a.png\"\r\n\
        Content-Type: image/png\r\n\r\n\r\n\r\n---x\r\n\
        content-disposition: form-data; name=\"empty\"\r\n\r\n\r\n---x--\r\n";

    /// Reads all parts of a body that comes in these pieces.
    async fn read_all(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, HttpError> {
        let mut pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece));
        let next = async || {
            yield_now().await; // as a connection does
            Ok(pieces.next())
        };
        let read = async |mut parts: Parts| {
            let mut all = Vec::new();
            while let Some(part) = parts.next().await? {
                all.push((part.name().to_owned(), part.text(100).await?));
            }
            Ok(all)
        };
        read_parts(TYPE, next, read).await
    }

    #[test]
    fn a_body_split_at_any_byte_has_the_same_parts() {
        block_on(async {
            let body = BODY.as_bytes();
            let whole = read_all(&[body]).await.unwrap();
            let expected =
                [("name", "Ad\u{e4}\r\n---\r\n---y"), ("picture", "\r\n"), ("empty", "")];
            let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
            assert_eq!(whole, expected);
            for at in 0..=body.len() {
                let (one, other) = body.split_at(at);
                assert_eq!(read_all(&[one, other]).await.unwrap(), expected, "split at {at}");
            }
            let bytes: Vec<&[u8]> = body.chunks(1).collect();
            assert_eq!(read_all(&bytes).await.unwrap(), expected);
        });
    }

    #[test]
    fn a_body_that_ends_early_is_400_wherever_it_ends() {
        block_on(async {
            // Only the line end after the last boundary may be missing.
            for end in 0..BODY.len() - 2 {
                let error = read_all(&[&BODY.as_bytes()[..end]]).await.unwrap_err();
                assert_eq!(error.status(), StatusCode::BAD_REQUEST, "ends at {end}");
            }
        });
    }

    #[test]
    fn a_reader_that_waits_stops_the_connection() {
        block_on(async {
            let received = Cell::new(0);
            let next = async || {
                received.set(received.get() + 1);
                Ok(Some(Bytes::from_static(BODY.as_bytes())))
            };
            let read = async |_parts: Parts| pending::<Result<(), HttpError>>().await;
            let mut reading = std::pin::pin!(read_parts(TYPE, next, read));
            for _ in 0..100 {
                assert!(poll_once(reading.as_mut()).await.is_none());
            }
            assert_eq!(received.get(), 2); // one waits in the channel and one for a place there
        });
    }

    #[test]
    fn a_preamble_or_head_without_end_is_refused_before_it_fills_the_memory() {
        block_on(async {
            for beginning in ["", "---x\r\nContent-Disposition: "] {
                let received = Cell::new(0);
                let next = async || {
                    yield_now().await;
                    let number = received.replace(received.get() + 1);
                    let piece = if number == 0 { beginning.into() } else { "x".repeat(1000) };
                    Ok((number < 1000).then(|| Bytes::from(piece)))
                };
                let read = async |mut parts: Parts| parts.next().await.map(drop);
                let error = read_parts(TYPE, next, read).await.unwrap_err();
                assert_eq!(error.status(), StatusCode::BAD_REQUEST);
                assert!(received.get() <= MAX_UNPARSED / 1000 + 2);
            }
        });
    }

    #[test]
    fn a_body_of_another_type_is_415() {
        block_on(async {
            let types = [None, Some(&b"application/x-www-form-urlencoded"[..]), Some(b"\xff")];
            for content_type in types {
                let read = async |_parts: Parts| Ok(());
                let error = read_parts(content_type, async || Ok(None), read).await.unwrap_err();
                assert_eq!(error.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
        });
    }
}
