//! The generated site: 1,000 pages that link to each other, and one link that is dead.

use http::StatusCode;
use tiny_http::{Application, HttpError, Request, Response};

const PAGES: usize = 1000;
/// The page with the dead link.
const WITH_DEAD_LINK: usize = 500;

/// Page 0 is at `/`, the others at `/page/1` to `/page/999`.
pub(crate) fn application() -> Application {
    Application::new().get("/", async |_: &mut Request<'_>| Ok(Response::html(page(0)))).get(
        "/page/{number}",
        async |request: &mut Request<'_>| match request.path_argument("number").parse() {
            Ok(number) if (1..PAGES).contains(&number) => Ok(Response::html(page(number))),
            _ => Err(HttpError::new(StatusCode::NOT_FOUND, "there is no such page")),
        },
    )
}

fn page(number: usize) -> String {
    let dead = (number == WITH_DEAD_LINK).then_some(PAGES);
    let others = [2 * number + 1, 2 * number + 2, number / 3, (number * 7 + 3) % PAGES];
    let others = others.into_iter().filter(|other| *other < PAGES).chain(dead);
    let links: String = others
        .map(|other| match other {
            0 => "<li><a href='/'>The first page</a>".to_owned(),
            other => format!("<li><a href='/page/{other}#top'>Page {other}</a>"),
        })
        .collect();
    format!(
        "<!doctype html><title>Page {number}</title><h1 id=top>Page {number}</h1><ul>{links}</ul>"
    )
}
