//! Runs the small example programs and checks what they print.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Runs an example, which cargo builds before it runs tests, and returns what it printed.
fn run(name: &str) -> String {
    let mut program: PathBuf = std::env::current_exe().unwrap();
    program.pop(); // the test's name
    program.pop(); // deps
    let mut command = Command::new(program.join("examples").join(name));
    let output = command.stdin(Stdio::null()).output().expect("a plain `cargo test` builds it");
    assert!(output.status.success(), "{name}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn timers_run_in_the_order_of_their_deadlines_and_the_dump_shows_the_task_that_is_left() {
    let text = run("timers");
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part:?} is not in\n{text}"));
    assert!(at("call_at, two tenths") < at("call_later, after three tenths"));
    assert!(at("a tick of an interval") < at("the time limit passed"));
    at("a periodic callback");
    at("an async periodic callback");
    at("tasks: 1\n  waiting");
    assert!(!text.contains("this timer was removed"));
}

#[test]
fn callbacks_and_coroutines_keep_tornado_s_order() {
    let text = run("callbacks_and_coroutines");
    let lines: Vec<_> = text.lines().collect();
    let expected = [
        "callback: runs first, in the order of adding",
        "callback: runs second",
        "callback: added by the second, runs in the next batch",
        "timer: 5 ticks were counted",
        "timer: set_result has not run the waiting task yet",
        "coroutine: the total is 5",
        "callback: done, Future(set)",
        "coroutine: a task of a task",
    ];
    let ticks = |line: &str| line.replace(char::is_numeric, "5"); // a slow machine skips ticks
    let lines: Vec<_> = lines.into_iter().map(ticks).collect();
    assert_eq!(lines, expected);
}

#[test]
fn run_sync_returns_one_result_and_three_errors() {
    let text = run("run_sync");
    for part in [
        "squall has 6 letters",
        "the future did not complete in time",
        "stopped before the future completed",
        "an event loop runs on this thread already",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn embed_ends_at_the_end_of_its_input() {
    assert!(run("embed").starts_with("type lines"));
}
