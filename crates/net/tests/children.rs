//! Child processes.

use std::cell::Cell;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use squall_net::{Child, IoStream, add_future, block_on, sleep, spawn, timeout};

const WATCHDOG: Duration = Duration::from_secs(10);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

// PRC-03, PRC-04
#[test]
fn a_conversation_with_a_child_ends_when_its_input_does() {
    run(async {
        let script = "while printf '> ' && read line; do echo \"$line!\"; done; echo bye";
        let mut child = Child::spawn(&mut shell(script)).unwrap();
        let mut input = IoStream::new(child.stdin.take().unwrap());
        let mut output = IoStream::new(child.stdout.take().unwrap());
        assert_eq!(output.read_until(b"> ").await.unwrap(), "> ");
        input.write("hello\n").unwrap();
        assert_eq!(output.read_until(b"> ").await.unwrap(), "hello!\n> ");
        input.shutdown().await.unwrap();
        assert_eq!(output.read_until_close().await.unwrap(), "bye\n");
        assert!(child.wait().await.unwrap().success());
        assert!(child.wait().await.unwrap().success(), "a second wait");
    });
}

// PRC-05
#[test]
fn standard_output_and_standard_error_are_collected() {
    run(async {
        let child = Child::spawn(&mut shell("echo out; echo err >&2; exit 3")).unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(output.status.code(), Some(3));
    });
}

// PRC-06, PRC-08
#[test]
fn the_end_is_reported_to_a_future_and_to_a_callback() {
    run(async {
        for code in [0, 1] {
            let mut child = Child::spawn(&mut shell(&format!("exit {code}"))).unwrap();
            assert_eq!(child.wait().await.unwrap().code(), Some(code));
        }
        let reported = Rc::new(Cell::new(None));
        let report = Rc::clone(&reported);
        let mut child = Child::spawn(&mut shell("exit 7")).unwrap();
        add_future(async move { child.wait().await }, move |status| {
            report.set(status.unwrap().code())
        });
        while reported.get().is_none() {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(reported.get(), Some(7));
    });
}

// PRC-07
#[test]
fn a_signal_ends_the_child_and_a_later_one_finds_no_process() {
    run(async {
        let mut child = Child::spawn(&mut shell("sleep 60")).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        child.signal(libc::SIGTERM).unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGTERM));
        assert_eq!(child.kill().unwrap_err().raw_os_error(), Some(libc::ESRCH));
    });
}

// X4: dropping a child leaves no zombie, with and without `kill_on_drop`.
#[test]
fn a_dropped_child_is_still_reaped() {
    run(async {
        for kill in [true, false] {
            let script = if kill { "exec sleep 60" } else { "exec sleep 0.05" };
            let child = Child::spawn(&mut shell(script)).unwrap().kill_on_drop(kill);
            let stat = format!("/proc/{}/stat", child.id());
            drop(child);
            while fs::exists(&stat).unwrap() {
                sleep(Duration::from_millis(1)).await;
            }
        }
    });
}

// The kernel may need a while to end a process, for example one with much memory.
#[test]
fn the_drop_of_a_killed_child_leaves_the_waiting_to_a_task_of_the_loop() {
    run(async {
        let child = Child::spawn(Command::new("sleep").arg("60")).unwrap().kill_on_drop(true);
        let stat = format!("/proc/{}/stat", child.id());
        drop(child);
        // The process stays, at least as a zombie, until the task has waited for it.
        assert!(fs::exists(&stat).unwrap(), "the drop has waited");
        while fs::exists(&stat).unwrap() {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

// X4
#[test]
fn kill_on_drop_ends_and_reaps_the_child_also_without_a_loop() {
    let spawn = || Child::spawn(Command::new("sleep").arg("60")).unwrap().kill_on_drop(true);
    let is_there = |pid: u32| fs::exists(format!("/proc/{pid}")).unwrap();
    let mut pid = 0;
    run(async {
        let child = spawn();
        pid = child.id();
    });
    assert!(!is_there(pid), "dropped with the last future of its loop");
    let mut child = None;
    run(async { child = Some(spawn()) });
    let pid = child.as_ref().unwrap().id();
    drop(child);
    assert!(!is_there(pid), "dropped after its loop");
}

/// Starts a shell that leads a group, with a grandchild that holds its standard output. The shell
/// then goes on with `script`.
async fn spawn_group(script: &str) -> (Child, IoStream<squall_net::PipeReader>) {
    let mut command = shell(&format!("sleep 60 & echo started; {script}"));
    let mut child = Child::spawn(command.process_group(0)).unwrap();
    let mut output = IoStream::new(child.stdout.take().unwrap());
    assert_eq!(output.read_until(b"\n").await.unwrap(), "started\n");
    (child, output)
}

#[test]
fn a_signal_to_the_group_ends_grandchildren_that_hold_a_pipe() {
    let ends: [fn(Child) -> Option<Child>; 3] = [
        |child| child.kill_group().is_ok().then_some(child),
        |child| child.signal_group(libc::SIGTERM).is_ok().then_some(child),
        |child| {
            drop(child.kill_group_on_drop(true));
            None
        },
    ];
    for end in ends {
        run(async {
            let (child, mut output) = spawn_group("wait").await;
            let child = end(child);
            assert_eq!(output.read_until_close().await.unwrap(), "");
            if let Some(mut child) = child {
                let signal = child.wait().await.unwrap().signal();
                assert!(matches!(signal, Some(libc::SIGKILL | libc::SIGTERM)), "{signal:?}");
            }
        });
    }
}

// The number of a group may be reused after its leader is reaped, so the leader stays a zombie.
#[test]
fn the_group_of_a_child_that_has_ended_can_still_be_killed() {
    for on_drop in [false, true] {
        run(async {
            let (mut child, mut output) = spawn_group("exit 3").await;
            assert_eq!(child.wait().await.unwrap().code(), Some(3));
            assert_eq!(child.wait().await.unwrap().code(), Some(3), "a second wait");
            assert_eq!(child.try_wait().unwrap().unwrap().code(), Some(3));
            let stat = format!("/proc/{}/stat", child.id());
            assert!(fs::read_to_string(&stat).unwrap().contains(" Z "), "not a zombie");
            if on_drop {
                child = child.kill_group_on_drop(true);
            } else {
                child.kill_group().unwrap();
            }
            drop(child);
            assert_eq!(output.read_until_close().await.unwrap(), "");
            assert!(!fs::exists(&stat).unwrap(), "the child is not reaped");
        });
    }
}

#[test]
fn a_child_that_leads_no_group_has_none_to_signal() {
    run(async {
        let mut child = Child::spawn(&mut shell("exec sleep 60")).unwrap();
        assert_eq!(child.kill_group().unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(child.signal_group(0).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert!(child.try_wait().unwrap().is_none());
        let mut output = IoStream::new(child.stdout.take().unwrap());
        drop(child.kill_group_on_drop(true));
        assert_eq!(output.read_until_close().await.unwrap(), "", "the process itself is killed");
    });
}

// R11
#[test]
fn a_child_inherits_no_descriptor_of_the_runtime() {
    run(async {
        let (_a, _b) = squall_net::pipe().unwrap();
        let _udp = squall_net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let _listener = squall_net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _pair = squall_net::UnixStream::pair().unwrap();
        spawn(async {}).await.unwrap();
        let child = Child::spawn(&mut shell("ls -l /proc/self/fd")).unwrap();
        let output = child.wait_with_output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("socket") && !text.contains("eventpoll"), "{text}");
    });
}
