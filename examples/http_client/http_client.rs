//! The client: takes a request through the queue, the pool, redirects and a second attempt.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use squall_net::{now, timeout};

use crate::answer_head::{AnswerHead, has_option};
use crate::client_config::ClientConfig;
use crate::client_response::{ClientResponse, Timings};
use crate::connector::connect;
use crate::deadline::Deadline;
use crate::exchange::Exchange;
use crate::fetch_error::FetchError;
use crate::fetch_request::FetchRequest;
use crate::pool::{Pool, PoolKey};
use crate::request_parts::RequestParts;
use crate::response_body::{Reading, ResponseBody};
use crate::slots::Slots;
use crate::tls::Tls;

/// The most bytes of a redirect's body that are read to keep the connection.
const MAX_DISCARD: usize = 64 << 10;
/// The time for that.
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// An HTTP/1.1 client on the loop of this thread. Clones share its connections and its queue.
/// Tornado: `AsyncHTTPClient`.
///
/// Connections are kept for later requests to the same server. If a kept connection turns out to be
/// closed before a byte of the answer has come, a request that is idempotent and has no streamed
/// body is sent once more, on a new connection. No other request is ever sent twice.
///
/// Dropping a fetch closes its connection.
///
/// ```
/// use http_client::{FetchError, FetchRequest, HttpClient};
/// use squall_net::block_on;
/// use tiny_http::{Config, HttpServer, Request, Response};
///
/// block_on(async {
///     let server = HttpServer::new(Config::default(), async |request: &mut Request<'_>| {
///         Ok(match request.path() {
///             "/echo" => Response::text(request.body().await?),
///             _ => Response::status(http::StatusCode::NOT_FOUND),
///         })
///     });
///     let address = server.listen("127.0.0.1:0")?;
///
///     let client = HttpClient::new();
///     let echo = FetchRequest::post(format!("http://{address}/echo"), "hello");
///     assert_eq!(client.fetch(echo).await?.body(), "hello");
///
///     match client.fetch(format!("http://{address}/nowhere")).await {
///         Err(FetchError::Status(response)) => assert_eq!(response.status(), 404),
///         other => panic!("{other:?}"),
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct HttpClient {
    inner: Rc<Inner>,
}

struct Inner {
    config: ClientConfig,
    slots: Rc<Slots>,
    pool: Rc<Pool>,
    tls: Tls,
}

thread_local! {
    static SHARED: HttpClient = HttpClient::new();
}

impl Default for HttpClient {
    fn default() -> HttpClient {
        HttpClient::with_config(ClientConfig::default())
    }
}

impl HttpClient {
    /// Makes a client with the default limits.
    pub fn new() -> HttpClient {
        HttpClient::default()
    }

    /// Makes a client with the limits of `config`.
    pub fn with_config(config: ClientConfig) -> HttpClient {
        let slots = Slots::new(config.max_clients.max(1));
        let pool = Pool::new(config.max_idle, config.idle_timeout);
        let tls = Tls::new(&config);
        HttpClient { inner: Rc::new(Inner { config, slots, pool, tls }) }
    }

    /// Returns the client of this thread, which has the default limits. Every call returns the same
    /// client.
    pub fn shared() -> HttpClient {
        SHARED.with(HttpClient::clone)
    }

    /// Makes a request and returns the answer with its whole body. Tornado: `fetch`.
    ///
    /// # Errors
    /// - [`FetchError::Status`]: the status is not a success (2xx); the error holds the answer. See
    ///   [`any_status`](FetchRequest::any_status).
    /// - [`FetchError::TooLarge`]: the body is larger than [`ClientConfig::max_body_bytes`].
    /// - The other [`FetchError`]s: there is no whole answer.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection. The server may have processed the request.
    ///
    /// # Cost
    /// A kept connection saves the lookup and the connect.
    pub async fn fetch(
        &self,
        request: impl Into<FetchRequest>,
    ) -> Result<ClientResponse, FetchError> {
        let begin = now();
        let (response, body) = self.inner.fetch(request.into(), begin).await?;
        self.inner.read_whole(response, body, begin).await
    }

    /// Makes a request and returns the answer as soon as its head has come. The body is read from
    /// the second value. Redirects are followed before. Tornado: `streaming_callback`.
    ///
    /// # Errors
    /// As [`fetch`](Self::fetch). If the status is not a success, the body is read into the error.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    ///
    /// # Cancel safety
    /// As [`fetch`](Self::fetch).
    ///
    /// # Examples
    /// ```
    /// # use http_client::HttpClient;
    /// # use squall_net::block_on;
    /// # use tiny_http::{Config, HttpServer, Request, Response};
    /// # block_on(async {
    /// # let server = HttpServer::new(Config::default(), async |request: &mut Request<'_>| {
    /// #     Ok(Response::text("a long body"))
    /// # });
    /// # let url = format!("http://{}/", server.listen("127.0.0.1:0")?);
    /// let (response, mut body) = HttpClient::new().fetch_streaming(url).await?;
    /// println!("{}", response.status());
    /// while let Some(piece) = body.next().await? {
    ///     println!("{} bytes", piece.len());
    /// }
    /// # std::io::Result::Ok(())
    /// # })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub async fn fetch_streaming(
        &self,
        request: impl Into<FetchRequest>,
    ) -> Result<(ClientResponse, ResponseBody), FetchError> {
        self.inner.fetch(request.into(), now()).await
    }
}

impl Inner {
    /// Fetches the head of the last answer. A status that is no success is an error with the body.
    async fn fetch(
        &self,
        request: FetchRequest,
        begin: Instant,
    ) -> Result<(ClientResponse, ResponseBody), FetchError> {
        let request = request.finish().map_err(FetchError::InvalidRequest)?;
        let accepts_any_status = request.accepts_any_status;
        let (response, body) = self.follow(request, begin).await?;
        if accepts_any_status || response.status.is_success() {
            return Ok((response, body));
        }
        let response = self.read_whole(response, body, begin).await?;
        Err(FetchError::Status(Box::new(response)))
    }

    /// Reads the whole body into the response.
    async fn read_whole(
        &self,
        mut response: ClientResponse,
        mut body: ResponseBody,
        begin: Instant,
    ) -> Result<ClientResponse, FetchError> {
        response.body = body.read_to_end(self.config.max_body_bytes).await?;
        response.timings.total = now() - begin;
        Ok(response)
    }

    /// Makes a request and follows redirects. Each request waits for its own turn.
    async fn follow(
        &self,
        mut request: RequestParts,
        begin: Instant,
    ) -> Result<(ClientResponse, ResponseBody), FetchError> {
        let original_url = request.url.to_string();
        let mut redirects_left = match request.follows_redirects {
            true => request.max_redirects.unwrap_or(self.config.max_redirects),
            false => 0,
        };
        loop {
            let url = request.url.to_string();
            let (head, mut body, timings) = self.send(&mut request).await?;
            if redirects_left > 0 && request.redirect(head.status, &head.headers) {
                redirects_left -= 1;
                // Late bytes or an error only close the connection.
                let _ = timeout(DISCARD_TIME, body.discard(MAX_DISCARD)).await;
                continue;
            }
            let response = ClientResponse {
                status: head.status,
                headers: head.headers,
                original_url,
                url,
                timings: Timings { total: now() - begin, ..timings },
                body: Bytes::new(),
            };
            return Ok((response, body));
        }
    }

    /// Waits for the request's turn, sends it and reads the head of the answer.
    async fn send(
        &self,
        request: &mut RequestParts,
    ) -> Result<(AnswerHead, ResponseBody, Timings), FetchError> {
        let queued_at = now();
        let limit = request.queue_timeout.unwrap_or(self.config.queue_timeout);
        let slot = async { Ok(self.slots.acquire().await) };
        let slot = Deadline::after(limit).limit(FetchError::QueueTimeout, slot).await?;

        let begin = now();
        let key = PoolKey { origin: request.url.origin.clone(), source: request.source };
        let deadline =
            Deadline::after(request.request_timeout.unwrap_or(self.config.request_timeout));
        let exchanging = self.exchange(request, &key);
        let (head, exchange, connect) =
            deadline.limit(FetchError::RequestTimeout, exchanging).await?;
        let timings = Timings {
            queue: begin - queued_at,
            connect,
            head: now() - begin,
            ..Timings::default()
        };

        let is_kept = head.keep_alive && !has_option(&request.headers, "close");
        let reading = Reading {
            exchange,
            rest: head.framing.into(),
            max_trailer_bytes: self.config.max_head_bytes,
            pool: is_kept.then(|| (Rc::clone(&self.pool), key)),
            slot,
        };
        Ok((head, ResponseBody::new(reading, deadline), timings))
    }

    /// Sends the request on a kept connection or a new one, and reads the head of the answer. Also
    /// returns the time to connect.
    async fn exchange(
        &self,
        request: &mut RequestParts,
        key: &PoolKey,
    ) -> Result<(AnswerHead, Exchange, Option<Duration>), FetchError> {
        let Inner { config, pool, tls, .. } = self;
        if let Some(stream) = pool.take(key).await {
            let mut exchange = Exchange::begin(stream, request, &config.user_agent);
            match exchange.head(&request.method, config.max_head_bytes).await {
                // The server may have closed the connection while the request was on its way.
                Err(FetchError::Connection(error))
                    if exchange.is_unanswered() && request.is_repeatable() =>
                {
                    log::debug!("{} is sent again: {error}", request.method);
                }
                outcome => return Ok((outcome?, exchange, None)),
            }
        }
        let begin = now();
        let limit = request.connect_timeout.unwrap_or(config.connect_timeout);
        let connecting = connect(key, config, tls);
        let stream = Deadline::after(limit).limit(FetchError::ConnectTimeout, connecting).await?;
        let connect_time = now() - begin;
        let mut exchange = Exchange::begin(stream, request, &config.user_agent);
        let head = exchange.head(&request.method, config.max_head_bytes).await?;
        Ok((head, exchange, Some(connect_time)))
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
