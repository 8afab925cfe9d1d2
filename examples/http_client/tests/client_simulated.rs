//! The HTTP client and server on simulated hosts: idle connections that end while they are used.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http_client::{FetchError, FetchRequest, HttpClient};
use squall_net::sim::{Simulation, check, random};
use squall_net::{signal, sleep};
use tiny_http::{Config, HttpServer, Request, Response};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// When the server closes an idle connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// What both hosts have seen.
#[derive(Default)]
struct Report {
    /// How often the server has read each request.
    reads: RefCell<BTreeMap<String, u32>>,
    connections: Cell<u32>,
    lost_posts: Cell<u32>,
}

/// Answers each request with its path.
async fn serve(report: Rc<Report>) -> io::Result<()> {
    let config = Config { idle_timeout: IDLE_TIMEOUT, ..Config::default() };
    let server = HttpServer::new(config, async move |request: &mut Request<'_>| {
        let key = format!("{} {}", request.method(), request.path());
        *report.reads.borrow_mut().entry(key).or_default() += 1;
        Ok(Response::text(request.path().to_owned()))
    });
    server.listen("0.0.0.0:80")?;
    signal::termination().await.map(drop)
}

/// Fetches again and again, each time at about the moment at which the server closes.
async fn fetch(report: Rc<Report>) -> io::Result<()> {
    let client = HttpClient::new();
    for number in 0..20 {
        let url = format!("http://server/{number}");
        let is_post = random().is_multiple_of(2);
        let request = if is_post { FetchRequest::post(url, "") } else { FetchRequest::get(url) };
        match client.fetch(request).await {
            Ok(answer) => {
                assert_eq!(answer.body(), &format!("/{number}"));
                let is_new = answer.timings().connect.is_some();
                report.connections.set(report.connections.get() + u32::from(is_new));
            }
            Err(FetchError::Connection(_)) if is_post => {
                report.lost_posts.set(report.lost_posts.get() + 1);
            }
            Err(error) => return Err(error.into()),
        }
        let early = 20 * MILLISECOND;
        sleep(IDLE_TIMEOUT - early + Duration::from_micros(random() % 40_000)).await;
    }
    Ok(())
}

// H13
#[test]
fn no_get_fails_and_no_post_comes_twice_when_the_server_closes_idle_connections() {
    let (connections, lost) = (AtomicU32::new(0), AtomicU32::new(0));
    check(0..500, |simulation: &Simulation| {
        let report = Rc::<Report>::default();
        let of_server = Rc::clone(&report);
        simulation.host("server", move || serve(Rc::clone(&of_server)));
        let of_client = Rc::clone(&report);
        let client = simulation.host("client", move || fetch(Rc::clone(&of_client)));
        while client.is_running() {
            assert!(simulation.now() < 1000 * SECOND, "the client does not come to its end");
            simulation.block_on(sleep(SECOND));
        }
        let reads = report.reads.borrow();
        assert!(reads.iter().all(|(_, count)| *count == 1), "{reads:?}");
        assert_eq!(reads.len() + report.lost_posts.get() as usize, 20);
        connections.fetch_add(report.connections.get(), Ordering::Relaxed);
        lost.fetch_add(report.lost_posts.get(), Ordering::Relaxed);
    });
    let (connections, lost) = (connections.into_inner(), lost.into_inner());
    assert!((1000..9000).contains(&connections), "{connections} connections");
    assert!(lost > 0, "no request was on its way when the connection was closed");
}
