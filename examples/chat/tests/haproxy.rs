//! Two servers behind HAProxy are one chat, also when one of them is killed.

mod support;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use squall_local_postgres::Postgres;
use squall_net::{block_on, sleep, spawn};
use support::process::{ChatProcess, Process, free_address, is_installed, wait_for};
use support::{Guest, get, within};

const CLIENTS: usize = 20;
const EACH: usize = 30;

#[test]
fn a_killed_server_loses_no_acknowledged_message_and_its_clients_come_back() {
    if !is_installed("haproxy") {
        return;
    }
    let Some(postgres) = Postgres::start() else { return };
    block_on(async {
        let url = postgres.unix_address();
        let mut one = ChatProcess::start(&["--database", &url]).await;
        let two = ChatProcess::start(&["--database", &url]).await;
        let front = free_address();
        let _haproxy = Process::start(
            Command::new("haproxy")
                .args(["-f", concat!(env!("CARGO_MANIFEST_DIR"), "/haproxy.cfg")])
                .env("CHAT_ADDRESS", front.to_string())
                .env("CHAT_SERVER_1", one.address.to_string())
                .env("CHAT_SERVER_2", two.address.to_string())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        wait_for(front).await;

        let acknowledged = Rc::new(Cell::new(0));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| spawn(Client::new(front, number, Rc::clone(&acknowledged)).run()))
            .collect();
        within("the middle", async {
            while acknowledged.get() < CLIENTS * EACH / 3 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        // Both servers have clients, or the end of one of them would show nothing.
        for server in [&one, &two] {
            let status: Value =
                serde_json::from_str(&get(server.address, "/status", "").await.1).unwrap();
            assert!(status["clients"].as_u64().unwrap() > 0, "{status}");
        }
        one.process.signal("KILL");
        assert!(!one.process.ended().await);

        let mut reconnects = 0;
        let mut views = Vec::new();
        for client in clients {
            let client = within("a client", client).await.unwrap();
            reconnects += client.connections - 1;
            views.push(client.seen);
        }
        assert!(reconnects > 0, "the killed server had no clients");
        let stored = postgres
            .query("SELECT string_agg(text, ',' ORDER BY number) FROM squall_chat.messages");
        let stored: Vec<_> = stored.split(',').map(str::to_owned).collect();
        let wanted: BTreeSet<_> = (0..CLIENTS)
            .flat_map(|client| (0..EACH).map(move |round| format!("{client}-{round}")))
            .collect();
        assert_eq!(stored.len(), wanted.len(), "a message is there twice, or not at all");
        assert_eq!(stored.iter().cloned().collect::<BTreeSet<_>>(), wanted);
        for (client, seen) in views.iter().enumerate() {
            assert!(seen.values().eq(&stored), "client {client} has another history");
        }
    });
}

/// A client that does what the page does.
struct Client {
    front: std::net::SocketAddr,
    number: usize,
    acknowledged: Rc<Cell<usize>>,
    connections: usize,
    /// The texts of all messages, by number.
    seen: BTreeMap<u64, String>,
    history: Option<String>,
    /// Own messages that are not acknowledged.
    open: BTreeMap<usize, String>,
    next: usize,
}

impl Client {
    fn new(front: std::net::SocketAddr, number: usize, acknowledged: Rc<Cell<usize>>) -> Client {
        Client {
            front,
            number,
            acknowledged,
            connections: 0,
            seen: BTreeMap::new(),
            history: None,
            open: BTreeMap::new(),
            next: 0,
        }
    }

    /// Runs until all messages of all clients are here.
    async fn run(mut self) -> Client {
        while self.seen.len() < CLIENTS * EACH {
            // A connection that breaks is followed by the next one.
            if self.converse().await.is_none() {
                let pause = 20 + u64::try_from(self.number).unwrap();
                sleep(Duration::from_millis(pause)).await;
            }
        }
        self
    }

    /// Talks over one connection. Returns `None` if it breaks.
    async fn converse(&mut self) -> Option<()> {
        let mut guest = Guest::try_connect(self.front, "lobby").await.ok()?;
        let last = self.seen.last_key_value().map_or(0, |(number, _)| *number);
        let known = self.history.as_deref().map(|history| (history, last));
        guest.send_hello(&format!("client {}", self.number), known).await.ok()?;
        let mut is_welcome = false;
        while self.seen.len() < CLIENTS * EACH {
            if is_welcome && self.open.len() < 4 && self.next < EACH {
                let text = format!("{}-{}", self.number, self.next);
                self.open.insert(self.next, text.clone());
                self.next += 1;
                send(&mut guest, self.next - 1, &text).await?;
                continue;
            }
            let message = guest.try_next().await?;
            match message["type"].as_str()? {
                "welcome" => {
                    assert!(self.history.is_none() || message["continues"] == true);
                    self.history = message["history"].as_str().map(str::to_owned);
                    self.connections += 1;
                    is_welcome = true;
                    for (id, text) in &self.open {
                        send(&mut guest, *id, text).await?;
                    }
                }
                "message" => {
                    let (number, text) = (message["number"].as_u64()?, message["text"].as_str()?);
                    let former = self.seen.insert(number, text.to_owned());
                    assert!(former.is_none(), "{text} came twice");
                }
                "ack" => {
                    let id = message["id"].as_str()?.parse().ok()?;
                    if self.open.remove(&id).is_some() {
                        self.acknowledged.set(self.acknowledged.get() + 1);
                    }
                }
                _ => {}
            }
        }
        Some(())
    }
}

async fn send(guest: &mut Guest, id: usize, text: &str) -> Option<()> {
    let message = json!({ "type": "message", "id": id.to_string(), "text": text });
    guest.send(&message).await.ok()
}
