//! `/health`: whether the loops answer, for a liveness probe.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tiny_http::Response;

use crate::observed::sample::Question;
use crate::observed::watched::{Condition, Roster};

/// Asks every loop whether it is alive, and waits for the answers. Status 503 if a loop has not
/// answered for `limit`, or no loop is left.
///
/// A loop that has ended does not count: it is not stuck.
pub(crate) async fn page(roster: &Arc<Roster>, limit: Duration) -> Response {
    let mut loops = roster.loops();
    loops.retain(|watched| !watched.is_closed());
    if loops.is_empty() {
        return unhealthy("every loop has ended\n".to_owned());
    }
    loops.iter().for_each(|watched| watched.ask(Question::Alive));
    for watched in &loops {
        watched.is_answered_within(limit).await;
    }
    let late = loops.iter().filter_map(|watched| match watched.known().condition {
        Condition::Waits(time) if time >= limit => {
            Some(format!("{}: no answer for {:.1} s\n", watched.name, time.as_secs_f64()))
        }
        _ => None,
    });
    match late.collect::<String>() {
        late if late.is_empty() => Response::text("ok\n"),
        late => unhealthy(late),
    }
}

fn unhealthy(text: String) -> Response {
    Response::text(text).with_status(StatusCode::SERVICE_UNAVAILABLE)
}
