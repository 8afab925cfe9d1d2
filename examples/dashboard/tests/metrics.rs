//! `/metrics`: its numbers, its format, and a loop that is stuck.

mod support;

use std::future::pending;
use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use dashboard::{Options, gauge};
use squall_net::{Handle, block_on, call_later, spawn, stats};
use support::{Program, metric, say};

#[test]
fn the_numbers_are_those_of_the_loop_s_stats() {
    let program = Program::start(Options::default());
    program.on_loop(|| {
        (0..3).for_each(|_| drop(spawn(pending::<()>())));
        call_later(Duration::MAX, || {});
    });
    program.wait_until("the tasks have run", |program| program.on_loop(stats).polls == 3);
    let before = program.on_loop(stats);
    let page = program.get("/metrics").1;
    let after = program.on_loop(stats);
    let of_loop = |name: &str| metric(&page, &format!("squall_loop_{name}{{loop=\"main\"}}"));
    assert_eq!(of_loop("polls_total"), 3.0);
    assert_eq!(of_loop("tasks"), 3.0);
    assert_eq!(of_loop("timers"), 1.0);
    assert_eq!(of_loop("descriptors"), 0.0);
    assert_eq!(of_loop("up"), 1.0);
    // The dashboard's question is one message and one callback, and the second look another.
    assert_eq!(of_loop("messages_total"), before.messages as f64 + 1.0);
    assert_eq!(of_loop("callbacks_total"), before.callbacks as f64 + 1.0);
    assert_eq!(after.messages, before.messages + 2);
    let turns = of_loop("turns_total");
    assert!(before.turns as f64 <= turns && turns <= after.turns as f64);
    let (busy, idle) = (of_loop("busy_seconds_total"), of_loop("idle_seconds_total"));
    assert!(before.busy_time.as_secs_f64() <= busy && busy <= after.busy_time.as_secs_f64());
    assert!(before.idle_time.as_secs_f64() <= idle && idle <= after.idle_time.as_secs_f64());
}

#[test]
fn entries_are_counted_by_their_kind_in_buckets_that_add_up() {
    let program = Program::start(Options::default().record_always().slow_entry(Duration::ZERO));
    program.on_loop(|| drop(spawn(async {})));
    program.on_loop(|| {});
    let page = program.get("/metrics").1;
    let series = |end: &str| format!("squall_loop_entry_seconds_{end}");
    let labels = "loop=\"main\",kind=\"task\"";
    assert_eq!(metric(&page, &series(&format!("count{{{labels}}}"))), 1.0);
    assert_eq!(metric(&page, &series(&format!("bucket{{{labels},le=\"+Inf\"}}"))), 1.0);
    let labels = "loop=\"main\",kind=\"callback\"";
    let count = metric(&page, &series(&format!("count{{{labels}}}")));
    assert!(count >= 2.0, "{page}");
    let bucket = format!("bucket{{{labels},le=");
    let buckets = page.lines().filter(|line| line.starts_with(&series(&bucket)));
    let counts: Vec<f64> =
        buckets.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect();
    assert_eq!((counts.len(), counts.last()), (26, Some(&count)));
    assert!(counts.is_sorted(), "they are cumulative: {counts:?}");
    assert!(metric(&page, "squall_loop_slow_entries_total{loop=\"main\"}") >= count);
}

#[test]
fn a_gauge_of_the_program_is_read_on_its_loop() {
    let program = Program::start(Options::default());
    program.on_loop(|| {
        gauge("live_timers_here", "As the loop counts.", || {
            u32::try_from(stats().live_timers).unwrap().into()
        })
    });
    assert_eq!(program.metric("live_timers_here{loop=\"main\"}"), 0.0);
    program.on_loop(|| {
        call_later(Duration::MAX, || {});
    });
    assert_eq!(program.metric("live_timers_here{loop=\"main\"}"), 1.0);
}

#[test]
fn a_stuck_loop_is_down_and_its_last_numbers_stay() {
    let program = Program::start(Options::default().interval(Duration::from_millis(20)));
    let polls = "squall_loop_polls_total{loop=\"main\"}";
    assert_eq!(program.metric(polls), 0.0);
    let stuck = program.stick();
    let page = program.get("/metrics").1;
    assert_eq!(metric(&page, "squall_loop_up{loop=\"main\"}"), 0.0);
    assert!(metric(&page, "squall_loop_unanswered_seconds{loop=\"main\"}") >= 0.02);
    assert_eq!(metric(&page, polls), 0.0);
    drop(stuck);
    program.wait_until("the loop answers", |program| {
        program.metric("squall_loop_up{loop=\"main\"}") == 1.0
    });
}

#[test]
fn a_loop_that_was_never_asked_in_time_has_no_numbers() {
    let program = Program::start(Options::default().interval(Duration::from_millis(1)));
    let stuck = program.stick();
    let page = program.get("/metrics").1;
    assert_eq!(metric(&page, "squall_loop_up{loop=\"main\"}"), 0.0);
    assert!(!page.contains("\nsquall_loop_turns_total{"), "{page}");
    drop(stuck);
}

#[test]
fn promtool_accepts_the_page() {
    let program = Program::start(Options::default().record_always());
    program.on_loop(|| {
        gauge("jobs_queued", "Jobs \"that\" wait\\\nand more.", || f64::INFINITY);
        drop(spawn(async {}));
        call_later(Duration::ZERO, || {});
    });
    let page = block_on(async {
        program.dashboard.watch("a \"strange\"\nname\\", Handle::current());
        let page = squall_net::spawn_blocking({
            let address = program.address();
            move || {
                let mut stream = support::connect(address);
                stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: [::1]\r\n\r\n").unwrap();
                std::io::read_to_string(stream).unwrap()
            }
        });
        page.await.unwrap()
    });
    let (head, page) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(page.contains("squall_loop_up{loop=\"a \\\"strange\\\"\\nname\\\\\"} 1\n"), "{page}");
    assert!(page.contains("jobs_queued{loop=\"main\"} inf\n"), "{page}");
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return say("skipped: promtool is not installed");
        }
        Err(error) => panic!("promtool: {error}"),
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}{page}");
}
