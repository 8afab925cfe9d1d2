//! The small application that both servers serve.

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_lite::{Stream, stream};
use http::StatusCode;
use http::header::HeaderValue;
use squall_net::{sleep, spawn_blocking};
use tiny_http::{Application, HandlerResult, HttpError, Request, Response, StaticFiles};

use crate::content::{self, Content};
use crate::server::fault::{Fault, RareFault};
use crate::server::hog::grow_until_killed;

/// The longest streamed answer that a client may ask for, in bytes.
const MAX_STREAM: usize = 64 << 20;
/// The longest nap that a client may ask for.
const MAX_NAP: Duration = Duration::from_secs(1);

/// Makes the application. `directory` has the static file.
pub(crate) fn application(directory: &Path, fault: Fault) -> io::Result<Application> {
    let fault = RareFault::new(fault);
    Ok(Application::new()
        .get("/hello", async move |_: &mut Request<'_>| {
            let body = fault.commit().await.unwrap_or("Hello, World!");
            Ok(Response::text(Bytes::from_static(body.as_bytes())))
        })
        .post("/echo", async |request: &mut Request<'_>| {
            Ok(Response::new(None, request.body().await?))
        })
        .get("/stream/{seed}/{len}", streamed)
        .get("/events/{count}", events)
        .get("/job/{seed}", job)
        .get("/nap/{milliseconds}", nap)
        .get("/hog", async |_: &mut Request<'_>| Ok(grow_until_killed().await))
        .get("/files/{*path}", StaticFiles::new(directory)?))
}

/// Parses an argument of the path.
fn number<T: std::str::FromStr>(request: &Request<'_>, name: &str) -> Result<T, HttpError> {
    let malformed = |_| HttpError::new(StatusCode::BAD_REQUEST, format!("{name} is no number"));
    request.path_argument(name).parse().map_err(malformed)
}

/// Streams content, as fast as the client reads it.
async fn streamed(request: &mut Request<'_>) -> HandlerResult {
    let (seed, len) = (number(request, "seed")?, number::<usize>(request, "len")?);
    let content = Content::new(seed, len.min(MAX_STREAM));
    Ok(Response::stream(stream::unfold(content, |mut content| async move {
        content.next_piece().map(|piece| (Ok(piece), content))
    })))
}

/// Streams events, one every few milliseconds.
async fn events(request: &mut Request<'_>) -> HandlerResult {
    let count: u32 = number(request, "count")?;
    Ok(Response::stream(timed_events(count))
        .with_content_type(HeaderValue::from_static("text/event-stream")))
}

fn timed_events(count: u32) -> impl Stream<Item = io::Result<Bytes>> {
    stream::unfold(0, move |number| async move {
        if number == count {
            return None;
        }
        sleep(content::EVENT_PERIOD).await;
        Some((Ok(content::event(number).into()), number + 1))
    })
}

/// Computes on another thread.
async fn job(request: &mut Request<'_>) -> HandlerResult {
    let seed = number(request, "seed")?;
    answer_of(move || content::job(seed)).await
}

/// Sleeps on another thread.
async fn nap(request: &mut Request<'_>) -> HandlerResult {
    let time = Duration::from_millis(number(request, "milliseconds")?).min(MAX_NAP);
    let sleep = move || {
        thread::sleep(time);
        String::new()
    };
    answer_of(sleep).await
}

/// The answer that a job makes; 503 if no thread can be started for it.
async fn answer_of(job: impl FnOnce() -> String + Send + 'static) -> HandlerResult {
    match spawn_blocking(job).await {
        Ok(text) => Ok(Response::text(text)),
        Err(error) => Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}
