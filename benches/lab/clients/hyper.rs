//! hyper's client with the pool of hyper-util (`legacy`), on tokio, `current_thread`.

use std::io;
use std::sync::Arc;

use ::hyper::Uri;
use ::hyper::body::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::{Tally, Target};
use crate::round::Ask;

type Http = Client<HttpConnector, Empty<Bytes>>;

pub(super) fn open(target: Target) -> io::Result<Ask> {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Http = Client::builder(TokioExecutor::new()).build(connector);
    let url: Uri = target.url().parse().map_err(io::Error::other)?;
    Ok(Box::new(move |until| {
        let tally = Arc::new(Tally::new(target, until));
        runtime.block_on(async {
            let fetches = (0..target.at_once)
                .map(|_| ::tokio::spawn(fetches(client.clone(), url.clone(), Arc::clone(&tally))));
            for task in fetches.collect::<Vec<_>>() {
                task.await??;
            }
            Ok(tally.answered())
        })
    }))
}

async fn fetches(client: Http, url: Uri, tally: Arc<Tally>) -> io::Result<()> {
    while tally.begin() {
        let response = client.get(url.clone()).await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(io::Error::other)?;
        tally.check(status, &body.to_bytes())?;
    }
    Ok(())
}
