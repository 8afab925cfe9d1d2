//! The routes, and what all responses have in common.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use tiny_http::{Application, HttpError, Request, RequestHandler, Response};

use crate::observed::watched::Roster;
use crate::options::Options;
use crate::site::health;
use crate::site::host_check::HostCheck;
use crate::site::metrics;
use crate::site::viewers::Viewers;

const PAGE: &str = include_str!("../page/index.html");
const STYLE: &str = include_str!("../page/style.css");
const SCRIPT: &str = include_str!("../page/page.js");
const ICON: &str = include_str!("../page/icon.svg");

/// Only files of this server, and nothing inline: a name that slipped through unescaped could not
/// run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Fields of every response. The page is new with every build, so it is never stored.
const FIELDS: [(HeaderName, HeaderValue); 5] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// The dashboard's site, for a server that listens on `address`.
pub(crate) fn site(
    address: SocketAddr,
    options: &Arc<Options>,
    roster: &Arc<Roster>,
    viewers: &Rc<Viewers>,
) -> impl RequestHandler + 'static {
    let hosts = HostCheck::new(address, options.hosts.clone());
    let application = application(options, roster, viewers);
    async move |request: &mut Request<'_>| {
        let response = if hosts.allows(request.host()) {
            application.handle(request).await?
        } else {
            let message = "this host is not allowed: see Options::allow_host\n";
            Response::text(message).with_status(StatusCode::MISDIRECTED_REQUEST)
        };
        Ok(FIELDS.into_iter().fold(response, |response, (name, value)| response.with(name, value)))
    }
}

fn application(options: &Arc<Options>, roster: &Arc<Roster>, viewers: &Rc<Viewers>) -> Application {
    let (viewers, counted) = (Rc::clone(viewers), Rc::clone(viewers));
    let (of_metrics, of_health) = (Arc::clone(roster), Arc::clone(roster));
    let (patience, limit) = (options.interval, options.health_limit);
    Application::new()
        .get("/", file("text/html; charset=utf-8", PAGE))
        .get("/style.css", file("text/css; charset=utf-8", STYLE))
        .get("/page.js", file("text/javascript; charset=utf-8", SCRIPT))
        .get("/icon.svg", file("image/svg+xml", ICON))
        .get("/events", async move |_: &mut Request<'_>| match viewers.subscribe() {
            Some(events) => Ok(Response::stream(events).with_content_type(EVENT_STREAM)),
            None => Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "too many open pages")),
        })
        .get("/metrics", async move |_: &mut Request<'_>| {
            Ok(metrics::page(&of_metrics, &counted, patience).await)
        })
        .get("/health", async move |_: &mut Request<'_>| Ok(health::page(&of_health, limit).await))
        .error_page(|status, message| match message {
            "" => Response::text(format!("{status}\n")),
            message => Response::text(format!("{status}: {message}\n")),
        })
}

/// A file that is part of the program.
fn file(content_type: &'static str, text: &'static str) -> impl RequestHandler + 'static {
    let content_type = HeaderValue::from_static(content_type);
    async move |_: &mut Request<'_>| Ok(Response::new(Some(content_type.clone()), text))
}
