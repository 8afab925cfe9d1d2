//! Processes that share their rooms through PostgreSQL.

mod support;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::rc::Rc;

use squall_chat::{Chat, Limits};
use squall_local_postgres::{Postgres, Signal};
use squall_net::{block_on, sleep, spawn};
use support::{Guest, Server, within};

/// Starts a server and waits until it has the database.
async fn start(postgres: &Postgres, limits: Limits) -> Server {
    let server =
        Server::with(Chat::with_database(limits, postgres.unix_address().parse().unwrap()));
    is_storing(&server, true).await;
    server
}

async fn is_storing(server: &Server, wanted: bool) {
    within("the state of the database", async {
        while server.chat.status().is_storing != wanted {
            sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[test]
fn two_servers_share_a_room_its_order_its_history_and_its_people() {
    let Some(postgres) = Postgres::start() else { return };
    block_on(async {
        let limits = Limits { message_burst: 1_000, ..Limits::default() };
        let (one, two) = (start(&postgres, limits).await, start(&postgres, limits).await);
        let (mut ada, mut eve) = (one.enter("Ada").await, two.enter("Eve").await);
        assert_eq!(ada.until("joined").await["tag"], eve.welcome["tag"]);
        for number in 0..100 {
            ada.say(&format!("{number}"), &format!("Ada {number}")).await;
            eve.say(&format!("{number}"), &format!("Eve {number}")).await;
        }
        let order = ada.texts(200).await;
        assert_eq!(order, eve.texts(200).await);
        for name in ["Ada", "Eve"] {
            let own = order.iter().filter(|text| text.starts_with(name)).cloned();
            assert!(own.eq((0..100).map(|number| format!("{name} {number}"))));
        }
        // A client that goes to the other server is the same person, and misses nothing.
        let number: u64 = postgres
            .query("SELECT number FROM squall_chat.messages ORDER BY number OFFSET 149 LIMIT 1")
            .parse()
            .unwrap();
        let history = ada.welcome["history"].as_str().unwrap().to_owned();
        let mut moved = Guest::connect(two.address, "lobby").await;
        moved.hello("Ada", Some((&history, number))).await;
        assert_eq!(
            (&moved.welcome["continues"], &moved.welcome["tag"]),
            (&true.into(), &ada.welcome["tag"])
        );
        assert_eq!(moved.texts(50).await, order[150..]);
        // The same id is the same message on the other server.
        moved.say("7", "again").await;
        moved.until("ack").await;
        moved.say("new", "new").await;
        assert_eq!(ada.texts(1).await, ["new"]);

        drop(moved);
        drop(ada);
        assert_eq!(eve.until("left").await["name"], serde_json::Value::Null);
        // The rooms of a process that is killed expire.
        let mut bob = one.enter("Bob").await;
        assert_eq!(eve.until("joined").await["name"], "Bob");
        postgres.query("UPDATE squall_chat.people SET process = 'gone' WHERE name = 'Bob'");
        postgres.query("UPDATE squall_chat.people SET seen = now() - interval '1 minute' WHERE name = 'Bob'; NOTIFY squall_chat_people");
        assert_eq!(eve.until("left").await["tag"], bob.welcome["tag"]);
        bob.say("1", "still here").await;
        assert_eq!(eve.texts(1).await, ["still here"]);
    });
}

#[test]
fn a_database_that_is_away_for_a_while_loses_nothing_that_was_acknowledged() {
    const MESSAGES: usize = 300;
    let Some(mut postgres) = Postgres::start() else { return };
    block_on(async {
        let limits = Limits { message_burst: 10_000, ..Limits::default() };
        let (one, two) = (start(&postgres, limits).await, start(&postgres, limits).await);
        let mut reader = two.enter("Reader").await;
        let writer = one.enter("Writer").await;
        let acknowledged = Rc::new(Cell::new(0));
        let writing = spawn(write(writer, MESSAGES, Rc::clone(&acknowledged)));
        // Once as an operator does it, once as a crash, each time in the middle.
        for (number, signal) in [(MESSAGES / 4, Signal::INT), (MESSAGES / 2, Signal::QUIT)] {
            within("acknowledgements", async {
                while acknowledged.get() < number {
                    sleep(std::time::Duration::from_millis(1)).await;
                }
            })
            .await;
            postgres.stop(signal);
            is_storing(&one, false).await;
            is_storing(&two, false).await;
            // A client that comes now is told, and is welcomed later.
            let mut late = Guest::connect(two.address, "garden").await;
            late.send_hello("Late", None).await.unwrap();
            assert_eq!(late.next().await["available"], false);
            postgres.resume();
            is_storing(&one, true).await;
            is_storing(&two, true).await;
            late.until("welcome").await;
        }
        within("the writer", writing).await.unwrap();
        let wanted: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
        assert_eq!(reader.texts(MESSAGES).await, wanted);
        let stored = postgres
            .query("SELECT string_agg(text, ' ' ORDER BY number) FROM squall_chat.messages");
        assert_eq!(stored, wanted.join(" "));
    });
}

#[test]
fn what_others_stored_while_a_process_was_away_is_published_when_it_is_back() {
    let Some(mut postgres) = Postgres::start() else { return };
    block_on(async {
        let server = start(&postgres, Limits::default()).await;
        let mut ada = server.enter("Ada").await;
        postgres.stop(Signal::INT);
        is_storing(&server, false).await;
        postgres.query_in_hiding(&insert("while you were away"));
        postgres.resume();
        assert_eq!(ada.texts(1).await, ["while you were away"]);
    });
}

#[test]
fn a_number_becomes_visible_only_after_all_smaller_ones() {
    let Some(postgres) = Postgres::start() else { return };
    block_on(async {
        let server = start(&postgres, Limits::default()).await;
        let (mut ada, mut eve) = (server.enter("Ada").await, server.enter("Eve").await);
        // Another process draws a number, and takes its time to commit it.
        let mut session = postgres.session();
        let mut input = session.stdin.take().unwrap();
        let lock = format!("SELECT pg_advisory_xact_lock({})", 0x7371_7561_6c6c_i64);
        writeln!(input, "BEGIN; {lock}; {}; SELECT 'inserted';", insert("first")).unwrap();
        let mut output = BufReader::new(session.stdout.take().unwrap()).lines();
        assert!(output.any(|line| line.unwrap() == "inserted"));
        ada.say("1", "second").await;
        within("the insert that waits", async {
            let waiting =
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            while postgres.query(waiting) == "0" {
                sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
        writeln!(input, "NOTIFY squall_chat_messages; COMMIT;").unwrap();
        drop(input);
        assert!(session.wait().unwrap().success());
        assert_eq!(ada.texts(2).await, ["first", "second"]);
        assert_eq!(eve.texts(2).await, ["first", "second"]);
    });
}

/// The query with which another process would store this text.
fn insert(text: &str) -> String {
    format!(
        "INSERT INTO squall_chat.messages (room, tag, id, name, text)
            VALUES ('lobby', 'ff', '{text}', 'Other', '{text}')"
    )
}

/// Sends numbered messages, and keeps the rules of a client: one message after the other is in doubt,
/// and all that are in doubt are sent again, in their order, when the database is back.
async fn write(mut writer: Guest, messages: usize, acknowledged: Rc<Cell<usize>>) {
    let mut is_available = true;
    let mut open = BTreeSet::new();
    let mut next = 0;
    while acknowledged.get() < messages {
        while is_available && open.len() < 8 && next < messages {
            writer.say(&next.to_string(), &next.to_string()).await;
            open.insert(next);
            next += 1;
        }
        let message = writer.next().await;
        match message["type"].as_str().unwrap() {
            "ack" => {
                let number = message["id"].as_str().unwrap().parse().unwrap();
                if open.remove(&number) {
                    acknowledged.set(acknowledged.get() + 1);
                }
            }
            "storage" => {
                is_available = message["available"] == true;
                if is_available {
                    for number in &open {
                        writer.say(&number.to_string(), &number.to_string()).await;
                    }
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_text_comes_out_of_the_database_as_it_went_in() {
    let Some(postgres) = Postgres::start() else { return };
    let texts = ["'; DROP TABLE squall_chat.messages; --", "ä\n\t🦀 \\ \" $1 %s", "{}", "<b>&amp;"];
    block_on(async {
        let limits = Limits { message_burst: 1_000, ..Limits::default() };
        let server = start(&postgres, limits).await;
        let mut ada = server.enter("A'da \\").await;
        for (number, text) in texts.into_iter().enumerate() {
            ada.say(&number.to_string(), text).await;
        }
        assert_eq!(ada.texts(texts.len()).await, texts);
        drop(ada);
        server.chat.shut_down(support::WATCHDOG).await;
        assert_eq!(postgres.query("SELECT count(*) FROM squall_chat.people"), "0");
        // A new process reads them from the table.
        let server = start(&postgres, limits).await;
        let mut eve = server.enter("Eve").await;
        assert_eq!(eve.texts(texts.len()).await, texts);
    });
}
