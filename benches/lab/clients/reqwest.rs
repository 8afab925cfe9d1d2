//! reqwest, without TLS, on tokio, `current_thread`.

use std::io;
use std::sync::Arc;

use ::reqwest::Client;

use super::{Tally, Target};
use crate::round::Ask;

pub(super) fn open(target: Target) -> io::Result<Ask> {
    let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::builder().no_proxy().build().map_err(io::Error::other)?;
    Ok(Box::new(move |until| {
        let tally = Arc::new(Tally::new(target, until));
        runtime.block_on(async {
            let fetches = (0..target.at_once)
                .map(|_| ::tokio::spawn(fetches(client.clone(), target.url(), Arc::clone(&tally))));
            for task in fetches.collect::<Vec<_>>() {
                task.await??;
            }
            Ok(tally.answered())
        })
    }))
}

async fn fetches(client: Client, url: String, tally: Arc<Tally>) -> io::Result<()> {
    while tally.begin() {
        let response = client.get(&url).send().await.map_err(io::Error::other)?;
        let status = response.status().as_u16();
        tally.check(status, &response.bytes().await.map_err(io::Error::other)?)?;
    }
    Ok(())
}
