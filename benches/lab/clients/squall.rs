//! squall's `http_client::HttpClient`.

use std::io;
use std::rc::Rc;

use http_client::{ClientConfig, HttpClient};
use squall_net::{EventLoop, spawn};

use super::{Tally, Target};
use crate::round::Ask;

pub(super) fn open(target: Target) -> io::Result<Ask> {
    let event_loop = EventLoop::new()?;
    let client = HttpClient::with_config(ClientConfig {
        max_clients: target.at_once,
        max_idle: target.at_once,
        ..ClientConfig::default()
    });
    Ok(Box::new(move |until| {
        let tally = Rc::new(Tally::new(target, until));
        event_loop.block_on(async {
            let fetches = (0..target.at_once)
                .map(|_| spawn(fetches(client.clone(), target.url(), Rc::clone(&tally))));
            for task in fetches.collect::<Vec<_>>() {
                task.await.map_err(io::Error::other)??;
            }
            Ok(tally.answered())
        })
    }))
}

async fn fetches(client: HttpClient, url: String, tally: Rc<Tally>) -> io::Result<()> {
    while tally.begin() {
        let response = client.fetch(&url).await.map_err(io::Error::other)?;
        tally.check(response.status().as_u16(), response.body())?;
    }
    Ok(())
}
