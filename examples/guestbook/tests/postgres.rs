//! The guestbook on a real PostgreSQL server, which goes away and comes back.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use squall_local_postgres::{Postgres, Signal};
use support::{Directory, Guestbook, Visitor, picture, picture_files, wait_until};

/// The number of sessions that have locked the table of the entries.
const LOCKS: &str = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' \
    AND granted AND relation = 'entries'::regclass";

/// Ends the sessions that have locked the table for long.
const UNLOCK: &str =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN;%'";

#[test]
fn a_server_that_is_stopped_and_started_costs_error_pages_and_no_entry() {
    let Some(mut postgres) = Postgres::start() else { return };
    let directory = Directory::new();
    let guestbook = Guestbook::start(&directory.0, &["--database", &postgres.address()]);
    let visitor = Visitor::new(&guestbook);
    assert_eq!(visitor.post(&guestbook, "Ada", "before", &picture(1000)).status, 303);
    for (round, signal) in [Signal::INT, Signal::QUIT].into_iter().enumerate() {
        postgres.stop(signal);
        let message = format!("round {round}");
        let refused = visitor.post(&guestbook, "Ada", &message, &picture(1000));
        assert_eq!((refused.status, refused.field("retry-after")), (503, Some("5")));
        assert_eq!(refused.textarea(), message);
        let page = guestbook.get("/");
        assert_eq!((page.status, page.field("retry-after")), (503, Some("5")));
        postgres.resume();
        // The first request after the return is served: dead connections are replaced.
        assert_eq!(visitor.post(&guestbook, "Ada", &message, &picture(1000)).status, 303);
    }
    // A restart between two requests costs nothing.
    postgres.stop(Signal::INT);
    postgres.resume();
    assert_eq!(visitor.post(&guestbook, "Ada", "last", &picture(1000)).status, 303);
    let page = guestbook.get("/");
    assert_eq!(page.messages(), ["last", "round 1", "round 0", "before"]);
    assert_eq!(guestbook.get(page.picture().unwrap()).status, 200);
    wait_until("the refused pictures are removed", || picture_files(&directory).len() == 4);
}

/// Sends forms until `is_over`, each again until it is confirmed, as a visitor does. Returns the
/// messages.
fn post_until(is_over: &AtomicBool, guestbook: &Guestbook, client: usize) -> Vec<String> {
    let visitor = Visitor::new(guestbook);
    let mut acknowledged = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let message = format!("{client}.{}", acknowledged.len());
        wait_until("the entry is confirmed", || {
            match visitor.post(guestbook, "Ada", &message, b"").status {
                303 => true,
                503 => false,
                status => panic!("{status}"),
            }
        });
        acknowledged.push(message);
    }
    acknowledged
}

/// Sets the flag when it is dropped, so that a test that panics ends its threads.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_server_that_restarts_under_load_loses_nothing_acknowledged_and_stores_nothing_twice() {
    let Some(mut postgres) = Postgres::start() else { return };
    let directory = Directory::new();
    let guestbook = Guestbook::start(&directory.0, &["--database", &postgres.address()]);
    assert_eq!(guestbook.get("/").status, 200); // the table is there
    let is_over = AtomicBool::new(false);
    let acknowledged: Vec<String> = thread::scope(|scope| {
        let (is_over, guestbook) = (&is_over, &guestbook);
        let client = |client| scope.spawn(move || post_until(is_over, guestbook, client));
        let clients = [0, 1, 2].map(client);
        let over = Over(is_over);
        for signal in [Signal::QUIT, Signal::INT] {
            let count = || -> u32 {
                postgres.query("SELECT count(*) FROM entries").parse().expect("a number")
            };
            let before = count();
            wait_until("entries arrive", || count() > before + 5);
            postgres.stop(signal);
            postgres.resume();
        }
        drop(over);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let stored = postgres.query("SELECT message FROM entries");
    let mut stored: Vec<&str> = stored.lines().collect();
    let mut acknowledged: Vec<&str> = acknowledged.iter().map(String::as_str).collect();
    stored.sort_unstable();
    acknowledged.sort_unstable();
    assert_eq!(stored, acknowledged);
}

#[test]
fn a_guestbook_may_start_before_its_database_and_two_may_share_one() {
    let Some(mut postgres) = Postgres::start() else { return };
    postgres.stop(Signal::INT);
    let directories = [Directory::new(), Directory::new()];
    let over_tcp = Guestbook::start(&directories[0].0, &["--database", &postgres.address()]);
    let over_unix = Guestbook::start(&directories[1].0, &["--database", &postgres.unix_address()]);
    assert_eq!((over_tcp.get("/").status, over_unix.get("/").status), (503, 503));
    postgres.resume();
    // Both make the table, if they can.
    thread::scope(|scope| {
        for guestbook in [&over_tcp, &over_unix] {
            scope.spawn(|| assert_eq!(guestbook.get("/").status, 200));
        }
    });
    let visitor = Visitor::new(&over_unix);
    assert_eq!(visitor.post(&over_unix, "Ada", "O'Hara; DROP TABLE entries", b"").status, 303);
    // The key knows a form that is sent again to another program.
    assert_eq!(visitor.post(&over_tcp, "Ada", "O'Hara; DROP TABLE entries", b"").status, 303);
    assert_eq!(over_tcp.get("/").messages(), ["O&#39;Hara; DROP TABLE entries"]);
}

#[test]
fn a_table_that_is_locked_costs_an_error_page_and_holds_up_no_static_file() {
    let Some(postgres) = Postgres::start() else { return };
    let directory = Directory::new();
    let guestbook = Guestbook::start(&directory.0, &["--database", &postgres.address()]);
    let visitor = Visitor::new(&guestbook);
    thread::scope(|scope| {
        let lock = "BEGIN; LOCK TABLE entries; SELECT pg_sleep(60)";
        let locking = scope.spawn(|| postgres.query_that_fails(lock));
        wait_until("the table is locked", || postgres.query(LOCKS) == "1");
        let late = scope.spawn(|| visitor.post(&guestbook, "Ada", "late", b"").status);
        assert_eq!(guestbook.get("/static/style.css").status, 200);
        assert!(!late.is_finished());
        assert_eq!(late.join().unwrap(), 503); // after five seconds
        postgres.query(UNLOCK);
        locking.join().unwrap();
    });
    assert_eq!(visitor.post(&guestbook, "Ada", "late", b"").status, 303);
    assert_eq!(guestbook.get("/").messages(), ["late"]);
}

#[test]
fn a_connection_that_ends_in_the_middle_of_an_insert_is_replaced() {
    let Some(postgres) = Postgres::start() else { return };
    let directory = Directory::new();
    let guestbook = Guestbook::start(&directory.0, &["--database", &postgres.address()]);
    let visitor = Visitor::new(&guestbook);
    let inserting = "SELECT pid FROM pg_stat_activity \
        WHERE query LIKE 'INSERT%' AND wait_event_type = 'Lock'";
    thread::scope(|scope| {
        let lock = "BEGIN; LOCK TABLE entries; SELECT pg_sleep(60)";
        let locking = scope.spawn(|| postgres.query_that_fails(lock));
        wait_until("the table is locked", || postgres.query(LOCKS) == "1");
        let posting = scope.spawn(|| visitor.post(&guestbook, "Ada", "hi", &picture(1000)).status);
        let mut process = String::new();
        wait_until("the insert waits for the lock", || {
            process = postgres.query(inserting);
            !process.is_empty()
        });
        postgres.query(&format!("SELECT pg_terminate_backend({process})"));
        wait_until("another connection inserts", || {
            ![String::new(), process.clone()].contains(&postgres.query(inserting))
        });
        postgres.query(UNLOCK);
        assert_eq!(posting.join().unwrap(), 303);
        locking.join().unwrap();
    });
    assert_eq!(guestbook.get("/").messages(), ["hi"]);
    assert_eq!(picture_files(&directory).len(), 1);
}
