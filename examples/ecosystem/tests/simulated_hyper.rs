//! hyper's server and client on simulated hosts. hyper asks std for the time, so this needs the
//! feature `sim-std` of squall-net.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use squall_net::hyper::{Io, Timer};
use squall_net::sim::{Simulation, random};
use squall_net::{IoStream, TcpServer, TcpStream, now, sleep, spawn};

const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

async fn server() -> io::Result<()> {
    let server = TcpServer::new(async |stream: IoStream, _| {
        let service = service_fn(async |request: Request<Incoming>| {
            let body = Full::<Bytes>::from(request.uri().path().to_owned());
            Ok::<_, Infallible>(Response::new(body))
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(Timer).header_read_timeout(HEAD_TIMEOUT);
        let _ = http.serve_connection(Io::new(stream), service).await; // the client's end
        Ok(())
    });
    server.listen("0.0.0.0:80")?;
    server.closed().await
}

/// Sends requests; hyper reads the answers. Returns the dates of the answers.
async fn client() -> Vec<String> {
    let stream = IoStream::new(TcpStream::connect("server:80").await.unwrap());
    let handshake = hyper::client::conn::http1::handshake(Io::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let connection = spawn(connection);
    let mut dates = Vec::new();
    for _ in 0..10 {
        let path = format!("/{}", random());
        let request = Request::get(&path).header("host", "server").body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.unwrap()).await.unwrap();
        dates.push(answer.headers()["date"].to_str().unwrap().to_owned());
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), path);
        sleep(Duration::from_millis(random() % 2_000)).await;
    }
    drop(sender);
    connection.await.unwrap().unwrap();
    dates
}

/// Runs a day of hyper on a thread of its own. Returns the hash of the trace and the dates.
fn day(seed: u64) -> (u64, Vec<String>) {
    let run = move || {
        let simulation = Simulation::new(seed);
        let dates = Rc::new(RefCell::new(Vec::new()));
        simulation.host("server", server);
        for n in 0..3 {
            let dates = Rc::clone(&dates);
            simulation.host(&format!("client{n}"), async move || {
                let seen = client().await;
                dates.borrow_mut().extend(seen);
                Ok(())
            });
        }
        simulation.block_on(async {
            // A client that says nothing is cut off when hyper's own timer says so.
            let mut silent = IoStream::new(TcpStream::connect("server:80").await.unwrap());
            let before = now();
            assert_eq!(silent.fill().await.unwrap_or_default(), 0);
            let waited = now() - before;
            assert!(waited.abs_diff(HEAD_TIMEOUT) < Duration::from_secs(1), "{waited:?}");
        });
        (simulation.trace().hash(), dates.take())
    };
    thread::spawn(run).join().unwrap()
}

#[test]
fn hyper_runs_the_same_from_the_same_seed() {
    let (hash, dates) = day(1);
    assert_eq!(dates.len(), 30);
    assert!(dates[0].starts_with("Sat, 01 Jan 2000 00:00:0"), "{}", dates[0]);
    assert_eq!((hash, dates), day(1));
    assert_ne!(hash, day(2).0);
}
