//! The program's own site: a page with buttons, and something to ask for.

use std::thread;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use squall_net::{call_later, sleep, spawn_named};
use tiny_http::{Application, HandlerResult, HttpError, Request, Response};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'",
);
const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");

/// The time between the answer to a press of the button and what it asks for.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) fn application(dashboard: String) -> Application {
    let page = PAGE.replace("{dashboard}", &dashboard);
    Application::new()
        .get("/", async move |_: &mut Request<'_>| {
            Ok(Response::html(page.clone()).with(CONTENT_SECURITY_POLICY, POLICY))
        })
        .get("/page.css", async |_: &mut Request<'_>| Ok(Response::new(Some(CSS), STYLE)))
        .get("/hello/{name}", hello)
        .post("/hold", hold)
        .post("/tasks", add_tasks)
}

/// Waits a little, as for a database.
async fn hello(request: &mut Request<'_>) -> HandlerResult {
    sleep(Duration::from_millis(3)).await;
    Ok(Response::text(format!("hello, {}", request.path_argument("name"))))
}

/// Holds the loop, as a call does that belongs into `spawn_blocking`.
async fn hold(request: &mut Request<'_>) -> HandlerResult {
    let seconds: u64 = request.form().await?.parsed("seconds")?;
    if seconds > 30 {
        return Err(HttpError::new(StatusCode::BAD_REQUEST, "at most 30 seconds"));
    }
    call_later(PAUSE, move || thread::sleep(Duration::from_secs(seconds)));
    Ok(Response::see_other("/")?)
}

async fn add_tasks(_request: &mut Request<'_>) -> HandlerResult {
    for number in 0..100 {
        drop(spawn_named("of the button", sleep(Duration::from_millis(10_000 + 100 * number))));
    }
    Ok(Response::see_other("/")?)
}
