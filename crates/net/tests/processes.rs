//! Pre-fork and hand-over of sockets. Each test starts this program again, as a process with one
//! thread, and reads its output.

mod watched;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream as StdStream;
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use squall_net::{
    EventLoop, ForkOptions, IoStream, Role, TcpServer, bind_sockets, block_on, fork_processes,
    inherited_sockets, signal, sleep, spawn_with_sockets,
};
use watched::{WATCHDOG, Watched, kill, lives, process_of};

fn main() {
    let tests: [(&str, fn()); 12] = [
        // TCS-06
        ("three_workers_have_their_numbers_and_the_parent_ends_with_success", three_workers),
        // PRC-02
        ("a_worker_that_was_killed_is_replaced_with_its_number", killed_worker),
        // X8
        ("workers_that_fail_at_once_are_given_up_after_a_bounded_number", respawn_storm),
        // X8
        ("no_worker_outlives_a_parent_that_was_killed", killed_parent),
        // X4
        ("eight_workers_killed_at_once_get_eight_replacements_and_leave_no_zombie", eight_at_once),
        ("a_signal_to_the_parent_ends_all_workers_and_replaces_none", forwarded),
        ("a_worker_that_does_not_end_is_killed_after_its_grace", grace),
        ("a_rolling_restart_replaces_each_worker_once", rolling),
        // PRC-X4, X5
        ("a_fork_with_a_loop_a_thread_or_in_a_worker_is_refused", refused),
        // PRC-X2
        ("workers_draw_different_random_numbers", chances),
        // TCS-08
        ("workers_that_bind_for_themselves_share_a_port", reuse_port),
        ("a_successor_finds_the_sockets_under_their_names", handed_over),
    ];
    watched::run(program, &tests);
}

/// The programs that the tests start.
fn program(name: &str) {
    let say = |text: String| {
        let mut out = std::io::stdout();
        out.write_all(text.as_bytes()).unwrap(); // one write: several processes share the output
        out.flush().unwrap();
    };
    let quick =
        ForkOptions::default().restart_delay(Duration::from_millis(5), Duration::from_millis(20));
    match name {
        "three" => match fork_processes(Some(3), quick).unwrap() {
            Role::Worker(number) => say(format!("worker {number}\n")),
            Role::Supervisor => say("all have ended\n".into()),
        },
        "failing" => match fork_processes(Some(2), quick.max_restarts(3)) {
            Ok(Role::Worker(number)) => {
                say(format!("worker {number}\n"));
                std::process::exit(3);
            }
            outcome => {
                say(format!("{}\n", outcome.unwrap_err()));
                std::process::exit(1);
            }
        },
        // Workers that run until SIGTERM. A `stubborn` worker goes on after SIGTERM.
        "living" | "eight" | "stubborn" => {
            let n = if name == "eight" { 8 } else { 2 };
            let options = quick.grace((name == "stubborn").then_some(Duration::from_millis(50)));
            match fork_processes(Some(n), options) {
                Ok(Role::Worker(number)) => block_on(async {
                    let mut signals = signal::Signals::new([signal::SIGTERM]).unwrap();
                    say(format!("worker {number} process {}\n", std::process::id()));
                    signals.next().await;
                    if name == "stubborn" {
                        sleep(WATCHDOG).await;
                    }
                    say(format!("worker {number} was signalled\n"));
                }),
                Ok(Role::Supervisor) => say("all have ended\n".into()),
                Err(error) => {
                    say(format!("{error}\n"));
                    std::process::exit(1);
                }
            }
        }
        "refused" => {
            let event_loop = EventLoop::new().unwrap();
            let error = fork_processes(Some(1), quick).unwrap_err();
            say(format!("{error}\n"));
            drop(event_loop);
            let (end, waits) = std::sync::mpsc::channel::<()>();
            let thread = thread::spawn(move || waits.recv());
            say(format!("{}\n", fork_processes(Some(1), quick).unwrap_err()));
            drop(end);
            let _ = thread.join().unwrap();
            while fs::read_dir("/proc/self/task").unwrap().count() > 1 {
                thread::yield_now(); // a thread that was joined may still be listed
            }
            if let Role::Worker(_) = fork_processes(Some(1), quick).unwrap() {
                say(format!("{}\n", fork_processes(Some(1), quick).unwrap_err()));
            }
        }
        "chances" => {
            drop(std::hash::RandomState::new()); // from here on, its keys are inherited
            if let Role::Worker(_) = fork_processes(Some(2), quick).unwrap() {
                let event_loop =
                    EventLoop::builder().clock(squall_net::Clock::manual()).build().unwrap();
                let _entered = event_loop.enter();
                let callback =
                    squall_net::PeriodicCallback::new(Duration::from_secs(1000), || ()).jitter(1.0);
                let begin = event_loop.time();
                callback.start();
                let next = event_loop.next_deadline().expect("it was started");
                say(format!("{:?}\n", next - begin));
            }
        }
        "reuse_port" => {
            let options = squall_net::BindOptions::default().reuse_port(true);
            let first = bind_sockets(0, Some("127.0.0.1"), options).unwrap();
            let port = first[0].local_addr().unwrap().port();
            if let Role::Worker(_) = fork_processes(Some(3), quick).unwrap() {
                let sockets = bind_sockets(port, Some("127.0.0.1"), options).unwrap();
                say(format!("{}\n", sockets[0].local_addr().unwrap().port() == port));
                assert!(bind_sockets(port, Some("127.0.0.1"), Default::default()).is_err());
            }
        }
        "hand_over" => {
            let tcp = bind_sockets(0, Some("127.0.0.1"), Default::default()).unwrap();
            let pipe = std::io::pipe().unwrap();
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["as", "successor"]);
            let sockets =
                [("web", tcp[0].as_fd()), ("odd", pipe.0.as_fd()), ("web2", tcp[0].as_fd())];
            let mut successor = spawn_with_sockets(&mut command, &sockets).unwrap();
            let address = tcp[0].local_addr().unwrap();
            let mut answer = String::new();
            StdStream::connect(address).unwrap().read_to_string(&mut answer).unwrap();
            say(answer);
            assert!(successor.wait().unwrap().success());
            let missing = &mut Command::new("/nowhere/at/all");
            say(format!("{}\n", spawn_with_sockets(missing, &sockets[..1]).unwrap_err()));
        }
        "successor" => {
            let mut sockets = inherited_sockets().unwrap();
            assert!(inherited_sockets().unwrap().is_empty(), "sockets are returned once");
            let names: Vec<_> = sockets.iter().map(|socket| socket.name().to_owned()).collect();
            let last = sockets.pop().unwrap().into_tcp().unwrap();
            let odd = sockets.pop().unwrap().into_tcp().unwrap_err().to_string();
            let unix = sockets.pop().unwrap().into_unix().unwrap_err().to_string();
            block_on(async {
                let server = TcpServer::new(async move |mut stream: IoStream, _| {
                    stream.write(format!("{names:?}\n{odd}\n{unix}\n"))?;
                    Ok(stream.shutdown().await?)
                });
                server.add_sockets(vec![last]).unwrap();
                while server.accepted() == 0 || server.connections() > 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            });
        }
        name => panic!("no program {name}"),
    }
}

fn zombies_of(parent: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    children.split_whitespace().filter(|pid| !lives(pid.parse().unwrap())).count()
}

fn three_workers() {
    let mut parent = Watched::start("three");
    assert_eq!(parent.rest(), ["all have ended", "worker 0", "worker 1", "worker 2"]);
    assert_eq!(parent.end().code(), Some(0));
}

fn killed_worker() {
    let mut parent = Watched::start("living");
    let first = parent.lines(2);
    kill(process_of(&first[1]), "TERM"); // ends with 0, so it is not replaced
    assert_eq!(parent.lines(1), ["worker 1 was signalled"]);
    kill(process_of(&first[0]), "KILL");
    let second = parent.lines(1);
    assert!(second[0].starts_with("worker 0 process"), "{second:?}");
    assert_ne!(process_of(&second[0]), process_of(&first[0]));
    kill(process_of(&second[0]), "TERM");
    assert_eq!(parent.rest(), ["all have ended", "worker 0 was signalled"]);
    assert_eq!(parent.end().code(), Some(0));
}

fn respawn_storm() {
    let mut parent = Watched::start("failing");
    let lines = parent.rest();
    let (workers, words): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.starts_with("worker"));
    assert_eq!(words, ["more than 3 restarts of workers, giving up"]);
    assert!((2..=5).contains(&workers.len()), "{lines:?}");
    assert_eq!(parent.end().code(), Some(1));
}

fn killed_parent() {
    let mut parent = Watched::start("living");
    let workers: Vec<_> = parent.lines(2).iter().map(|line| process_of(line)).collect();
    parent.kill("KILL");
    assert_eq!(parent.rest(), ["worker 0 was signalled", "worker 1 was signalled"]);
    let begin = Instant::now();
    while workers.iter().any(|pid| lives(*pid)) {
        assert!(begin.elapsed() < Duration::from_secs(2), "an orphan is alive");
        thread::sleep(Duration::from_millis(5));
    }
}

fn eight_at_once() {
    let mut parent = Watched::start("eight");
    let mut workers = parent.lines(8);
    for _ in 0..5 {
        workers.iter().for_each(|line| kill(process_of(line), "KILL"));
        let next = parent.lines(8);
        let numbers = |lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| line[..8].to_owned()).collect()
        };
        assert_eq!(numbers(&next), numbers(&workers));
        assert_eq!(zombies_of(parent.child.id()), 0);
        workers = next;
    }
    parent.kill("TERM");
    assert_eq!(parent.rest().len(), 9);
    assert!(parent.end().success());
}

fn forwarded() {
    for signal in ["TERM", "INT"] {
        let mut parent = Watched::start("living");
        parent.lines(2);
        parent.kill(signal);
        let lines = parent.rest();
        let signalled: &[&str] = match signal {
            "TERM" => &["all have ended", "worker 0 was signalled", "worker 1 was signalled"],
            _ => &["all have ended"], // SIGINT has its default action in these workers
        };
        assert_eq!(lines, signalled, "{signal}");
        assert!(parent.end().success());
    }
}

fn grace() {
    let mut parent = Watched::start("stubborn");
    parent.lines(2);
    parent.kill("TERM");
    assert_eq!(parent.rest(), ["all have ended"]);
    assert!(parent.end().success());
}

fn rolling() {
    let mut parent = Watched::start("living");
    let first = parent.lines(2);
    parent.kill("HUP");
    let second = parent.lines(4);
    let begun: Vec<_> = second.iter().filter(|line| line.contains("process")).collect();
    let signalled: Vec<_> = second.iter().filter(|line| line.contains("signalled")).collect();
    assert_eq!(signalled, ["worker 0 was signalled", "worker 1 was signalled"]);
    assert!(begun[0].starts_with("worker 0") && begun[1].starts_with("worker 1"), "{second:?}");
    let former: Vec<_> = first.iter().map(|line| process_of(line)).collect();
    assert!(begun.iter().all(|line| !former.contains(&process_of(line))));
    parent.kill("TERM");
    assert_eq!(
        parent.rest(),
        ["all have ended", "worker 0 was signalled", "worker 1 was signalled"]
    );
    assert!(parent.end().success());
}

fn refused() {
    let mut process = Watched::start("refused");
    assert_eq!(
        process.rest(),
        [
            "fork_processes in a worker of fork_processes",
            "fork_processes with 1 event loops in the process: make them in the workers",
            "fork_processes with 2 threads in the process: start them in the workers",
        ]
    );
    assert!(process.end().success());
}

fn chances() {
    let mut parent = Watched::start("chances");
    let drawn = parent.rest();
    assert_eq!(drawn.len(), 2);
    assert_ne!(drawn[0], drawn[1]);
}

fn reuse_port() {
    let mut parent = Watched::start("reuse_port");
    assert_eq!(parent.rest(), ["true", "true", "true"]);
    assert!(parent.end().success());
}

fn handed_over() {
    let mut parent = Watched::start("hand_over");
    let lines = parent.rest();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "No such file or directory (os error 2)");
    assert_eq!(lines[1], "[\"web\", \"odd\", \"web2\"]");
    assert!(
        lines[2].starts_with("the inherited descriptor \"odd\" is not a TCP listener: "),
        "{lines:?}"
    );
    assert_eq!(
        lines[3],
        "the inherited descriptor \"web\" is not a Unix listener: its address family is 2"
    );
    assert!(parent.end().success());
}
