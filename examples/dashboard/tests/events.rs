//! `/events`: what an open page gets, from a loop that works, is stuck or has company.

mod support;

use std::future::pending;
use std::thread;
use std::time::{Duration, Instant};

use dashboard::Options;
use squall_net::{Handle, add_callback, block_on, spawn_named, stats};
use support::{Program, connect};

const INTERVAL: Duration = Duration::from_millis(20);

fn quick() -> Options {
    Options::default().interval(INTERVAL)
}

#[test]
fn a_page_gets_the_numbers_and_lists_of_the_loop() {
    let program = Program::start(quick());
    let line = line!() + 1;
    program.on_loop(|| (0..3).for_each(|_| drop(spawn_named("waits", pending::<()>()))));
    let mut events = program.events();
    let observed = events.wait_for("the lists", |observed| observed["tasks"].is_object());
    assert_eq!(observed["name"], "main");
    assert_eq!(observed["stats"]["live_tasks"], 3);
    let row = &observed["tasks"]["rows"][0];
    assert_eq!((&row["name"], &row["count"]), (&"waits".into(), &3.into()));
    assert_eq!(row["line"], format!("{}:{line}", file!()));
    assert_eq!(observed["tasks"]["more"], 0);
    let later = events.wait_for("another sample", |later| later["taken"] != observed["taken"]);
    assert!(later["stats"]["messages"].as_u64() > observed["stats"]["messages"].as_u64());
}

#[test]
fn events_keep_coming_from_a_loop_that_works_without_pause() {
    fn work() {
        add_callback(work);
    }
    let program = Program::start(quick());
    program.on_loop(work);
    let mut events = program.events();
    let mut last = events.wait_for("a first sample", |observed| observed["stats"].is_object());
    for _ in 0..5 {
        let next = events.wait_for("a new sample", |next| next["taken"] != last["taken"]);
        assert!(next["stats"]["turns"].as_u64() > last["stats"]["turns"].as_u64());
        let idle = |observed: &serde_json::Value| observed["stats"]["idle"].as_f64().unwrap();
        assert_eq!(idle(&next), idle(&last), "the loop has not slept");
        last = next;
    }
}

#[test]
fn a_page_tells_what_sticks_the_loop_and_when_it_goes_on() {
    let program = Program::start(quick());
    let mut events = program.events();
    events.wait_for("the loop answers", |observed| observed["state"] == "answers");
    let line = line!() + 1;
    let stuck = program.stick();
    let observed = events.wait_for("the loop is stuck", |observed| observed["state"] == "stuck");
    assert!(observed["stuck"].as_f64().unwrap() >= INTERVAL.as_secs_f64());
    assert_eq!(observed["running"]["kind"], "callback");
    assert_eq!(observed["running"]["line"], format!("{}:{line}", file!()));
    let later = events
        .wait_for("a later moment", |later| later["stuck"].as_f64() > observed["stuck"].as_f64());
    assert_eq!(later["stats"], observed["stats"], "there are no new numbers");
    drop(stuck);
    let observed = events.wait_for("the loop goes on", |observed| observed["state"] == "answers");
    assert!(observed["stuck"].is_null());
}

#[test]
fn what_was_stuck_is_listed_as_slow() {
    let program = Program::start(quick().slow_entry(INTERVAL).record_always());
    let line = line!() + 1;
    let stuck = program.stick();
    let mut events = program.events();
    events.wait_for("the loop is stuck", |observed| observed["state"] == "stuck");
    drop(stuck);
    let observed = events.wait_for("a slow entry", |observed| observed["slow_total"] == 1);
    let slow = &observed["slow"][0];
    assert!(slow["elapsed"].as_f64().unwrap() >= INTERVAL.as_secs_f64());
    assert_eq!(slow["line"], format!("{}:{line}", file!()));
}

#[test]
fn nobody_looks_so_the_loop_gets_no_messages() {
    let program = Program::start(Options::default().interval(Duration::from_millis(1)));
    let mut events = program.events();
    (0..3).for_each(|_| drop(events.next()));
    drop(events);
    program.wait_until("the page is closed", |program| {
        program.metric("squall_dashboard_viewers") == 0.0
    });
    // The task that asked may still sleep until its next tick.
    let mut before = program.on_loop(stats).messages;
    program.wait_until("the questions have ended", |program| {
        (0..20).for_each(|_| drop(program.get("/")));
        let last = std::mem::replace(&mut before, program.on_loop(stats).messages);
        before == last + 1 // this look
    });
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(100) {
        assert_eq!(program.get("/page.js").0, 200); // the dashboard's loop runs
    }
    assert_eq!(program.on_loop(stats).messages, before + 1);
}

#[test]
fn every_loop_that_is_watched_is_shown() {
    let program = Program::start(quick());
    let dashboard = &program.dashboard;
    block_on(async {
        dashboard.watch("second", Handle::current());
        let mut events = program.events();
        let both = squall_net::spawn_blocking(move || {
            loop {
                let snapshot = events.next();
                let loops = snapshot["loops"].as_array().unwrap();
                if loops.len() == 2 && loops.iter().all(|observed| observed["stats"].is_object()) {
                    let names = loops.iter().map(|observed| observed["name"].clone());
                    return (events, names.collect::<Vec<_>>());
                }
            }
        });
        let (events, names) = both.await.unwrap();
        assert_eq!(names, ["main", "second"]);
        drop(events);
    });
    let mut events = program.events();
    while events.next()["loops"][1]["state"] != "ended" {}
}

#[test]
fn a_page_that_reads_nothing_misses_snapshots_and_is_cut() {
    let timeout = Duration::from_millis(200);
    let options = Options::default().interval(Duration::from_millis(1)).viewer_timeout(timeout);
    let program = Program::start(options);
    // Large snapshots fill the kernel's buffers sooner.
    program.on_loop(|| drop(spawn_named("x".repeat(100_000), pending::<()>())));
    let reads_nothing = connect(program.address());
    std::io::Write::write_all(
        &mut &reads_nothing,
        b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
    )
    .unwrap();
    program.wait_until("the page is open", |program| {
        program.metric("squall_dashboard_viewers") == 1.0
    });
    let mut reads_all = program.events();
    let reader = thread::spawn(move || {
        // While another page reads on, the snapshots are published.
        while reads_all.next()["loops"][0]["name"] == "main" {}
    });
    program.wait_until("the page that reads nothing is cut", |program| {
        program.metric("squall_dashboard_viewers") == 1.0
            && program.metric("squall_dashboard_missed_snapshots_total") > 0.0
    });
    program.dashboard.stop();
    assert!(reader.join().is_err(), "the other page is read until the dashboard ends");
    drop(reads_nothing);
}

#[test]
fn no_more_than_64_pages_are_open_at_once() {
    let program = Program::start(Options::default());
    let mut pages: Vec<_> = (0..64).map(|_| program.events()).collect();
    pages.iter_mut().for_each(|page| drop(page.next()));
    let (status, why) = program.get("/events");
    assert_eq!(status, 503);
    assert!(why.contains("too many open pages"), "{why}");
    drop(pages.pop());
    program
        .wait_until("one is closed", |program| program.metric("squall_dashboard_viewers") == 63.0);
    program.events().next();
}
