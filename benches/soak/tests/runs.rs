//! Runs of the program, in short.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// The longest time of a run in these tests.
const LIMIT: Duration = Duration::from_secs(120);

/// A run in a directory of its own. Dropping this ends it and removes the directory.
struct Run {
    child: Child,
    directory: PathBuf,
}

impl Run {
    fn start(name: &str, arguments: &[&str]) -> Run {
        let directory =
            std::env::temp_dir().join(format!("squall-soak-{}-{name}", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_soak"));
        command.arg("run").args(arguments).arg("--out").arg(&directory);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        Run { child, directory }
    }

    /// Waits for the end. Returns the exit status and what the run has printed.
    fn end(&mut self) -> (ExitStatus, String) {
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < LIMIT, "the run does not end");
            thread::sleep(Duration::from_millis(50));
        };
        let output = BufReader::new(self.child.stdout.take().unwrap());
        let lines: Vec<String> = output.lines().map(Result::unwrap).collect();
        (status, lines.join("\n"))
    }

    /// Waits until a file of the run has this many lines, and returns its text.
    fn lines_of(&self, file: &str, count: usize) -> String {
        let begin = Instant::now();
        loop {
            let text = fs::read_to_string(self.directory.join(file)).unwrap_or_default();
            if text.lines().count() >= count {
                return text;
            }
            assert!(begin.elapsed() < LIMIT, "{file} has no {count} lines");
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended if the test has succeeded
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory); // what is left does no harm
    }
}

#[test]
fn a_run_with_every_act_meets_every_expectation_and_can_be_drawn() {
    let mut run =
        Run::start("whole", &["--time", "10s", "--cycle", "7s", "--rate", "100", "--seed", "1"]);
    let (status, text) = run.end();
    assert!(status.success(), "{text}");
    assert!(text.contains("left after the end: 0 bytes, 0 descriptors, 0 threads"), "{text}");
    let acts = run.lines_of("acts.jsonl", 15);
    for line in acts.lines().filter(|line| line.contains("skipped")) {
        // Not by `println`, which the test runner keeps to itself.
        let _ = writeln!(io::stderr(), "skipped: {line}");
    }
    let mut plot = Command::new(env!("CARGO_BIN_EXE_soak"));
    assert!(plot.arg("plot").arg(&run.directory).status().unwrap().success());
    for picture in ["memory", "holdings", "latency"] {
        let picture = run.directory.join(format!("soak-{picture}.svg"));
        assert!(fs::read_to_string(picture).unwrap().contains("</svg>"));
    }
}

#[test]
fn an_interrupted_run_ends_its_processes() {
    let mut run = Run::start("interrupted", &["--time", "60s", "--rate", "20"]);
    let samples = run.lines_of("samples.jsonl", 3);
    kill_process(Pid::from_child(&run.child), Signal::INT).unwrap();
    let (status, text) = run.end();
    assert_eq!(status.code(), Some(130), "{text}");
    let pids = samples.lines().filter_map(|line| line.split("\"pid\":").nth(1)?.split(',').next());
    for pid in pids {
        assert!(!Path::new("/proc").join(pid).exists(), "process {pid} is left");
    }
}

/// What a run must say of each fault.
const FAULTS: [(&str, &str); 6] = [
    ("wrong", "how: Wrong"),
    ("hang", "how: Hang"),
    ("panic", "panics in"),
    ("task", "rests with"),
    ("descriptor", "rests with"),
    ("bytes", "left behind"),
];

#[test]
#[ignore = "takes two minutes; `.ci/long soak` runs it"]
fn a_run_finds_every_kind_of_fault() {
    for (fault, finding) in FAULTS {
        let mut run = Run::start(
            fault,
            &["--time", "8s", "--cycle", "4s", "--rate", "100", "--fault", fault],
        );
        let (status, text) = run.end();
        assert_eq!(status.code(), Some(1), "{fault}: {text}");
        assert!(text.contains(finding), "{fault}: {text}");
    }
}
