//! Process 1 of a container: pid, mount and network namespaces as a container runtime makes them,
//! and limits of a control group.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::cgroup::Cgroup;
use crate::program::{Process, children, example, wait_until};
use crate::support::{program, say, with_default_signals};

/// A program as process 1 of namespaces of its own. It listens on port 8080 of their loopback
/// device.
struct Container(Process);

impl Container {
    /// Returns `None` and prints a line if the machine does not allow namespaces.
    fn start(command: &[&str]) -> Option<Container> {
        let namespaces =
            ["--fork", "--pid", "--kill-child=KILL", "--mount-proc", "--net", "--ipc", "--uts"];
        let mut trial = Command::new("unshare");
        trial.args(namespaces).args(["ip", "link", "set", "lo", "up"]).stderr(Stdio::null());
        let is_allowed = trial.status().is_ok_and(|status| status.success());
        if !is_allowed {
            say("skipped: no permission to make a container's namespaces, or no unshare and ip");
            return None;
        }
        let mut unshare = with_default_signals("unshare");
        unshare.args(namespaces).args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
        let container = Container(Process::start(unshare.args(command).stdout(Stdio::null()))?);
        wait_until("the program runs and listens", || {
            let table = container.process().map(|pid| format!("/proc/{pid}/net/tcp"));
            let table = table.and_then(|path| fs::read_to_string(path).ok());
            table.is_some_and(|table| table.contains(" 0100007F:1F90 00000000:0000 0A "))
        });
        Some(container)
    }

    /// The number that process 1 has outside of the container.
    fn process(&self) -> Option<u32> {
        children(self.0.id()).first().copied()
    }

    /// A command that runs in the container.
    fn command(&self, namespaces: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.process().expect("the container runs").to_string();
        command.args(["--target", &target]).args(namespaces).stdin(Stdio::null());
        command
    }

    /// Asks for the ten lines that `http_server` sends within a second. Returns when the first is
    /// here.
    fn begin_slow_request(&self) -> (Child, BufReader<ChildStdout>) {
        let mut curl = self.command(&["--net"]);
        curl.args(["curl", "--silent", "--no-buffer", "http://127.0.0.1:8080/stream"]);
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(curl.stdout.take().expect("it is piped"));
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert_eq!(first, "10\n");
        (curl, lines)
    }

    /// The states of process 1's children, such as `S` and `Z`.
    fn states_of_children(&self) -> String {
        let children = self.process().map(children).unwrap_or_default();
        let state = |pid: u32| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit(") ").next()?.chars().next()
        };
        children.into_iter().filter_map(state).collect()
    }

    fn signal(&self, name: &str) {
        let pid = self.process().expect("the container runs").to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

#[test]
fn process_1_finishes_its_requests_at_sigterm_also_if_it_gets_a_second_one() {
    for processes in ["1", "2"] {
        let server = program();
        let server = server.to_str().expect("a path in UTF-8");
        let Some(mut container) = Container::start(&[server, "--processes", processes]) else {
            return;
        };
        let pid = container.process().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains(&format!("NSpid:\t{pid}\t1\n")), "{status}");

        let (mut curl, mut lines) = container.begin_slow_request();
        container.signal("TERM");
        let mut next = String::new();
        lines.read_line(&mut next).unwrap();
        container.signal("TERM"); // the kernel sends process 1 no signal for which it has no handler
        lines.read_to_string(&mut next).unwrap();
        assert_eq!(next, "9\n8\n7\n6\n5\n4\n3\n2\n1\n", "with {processes} processes");
        assert!(curl.wait().unwrap().success());
        assert!(container.0.wait().success());
    }
}

/// Leaves a process without a parent in the container, which ends at once.
fn leave_an_orphan(container: &Container) {
    let mut shell = container.command(&["--pid"]);
    assert!(shell.args(["sh", "-c", "sleep 0.01 & exit"]).status().unwrap().success());
}

#[test]
fn orphans_stay_zombies_unless_an_init_is_process_1() {
    let prefork = example("prefork");
    let prefork = prefork.to_str().expect("a path in UTF-8");
    let command = [prefork, "--workers", "1"];
    let Some(alone) = Container::start(&command) else { return };
    leave_an_orphan(&alone);
    wait_until("the orphan is a zombie", || alone.states_of_children().contains('Z'));

    if !Path::new("/usr/bin/tini").exists() {
        return say("skipped: tini is not installed");
    }
    let Some(mut below) = Container::start(&[&["tini", "--"][..], &command].concat()) else {
        return;
    };
    wait_until("tini has started it", || below.states_of_children().len() == 1);
    for _ in 0..10 {
        leave_an_orphan(&below);
    }
    wait_until("tini has reaped the orphans", || below.states_of_children().len() == 1);
    below.signal("TERM"); // tini forwards it
    assert!(below.0.wait().success());
}

/// Runs a program in a control group with this limit. Returns the group, or `None` and prints a
/// line if there can be none.
fn limited(controller: &str, files: &[&str], limit: &str) -> Option<Cgroup> {
    let group = Cgroup::new(controller, controller);
    let group = group.and_then(|group| group.set(files, limit).map(|()| group));
    group.map_err(|error| say(&format!("skipped: a limit of {controller}: {error}"))).ok()
}

fn enter(group: &Cgroup, arguments: &[&str]) -> Command {
    let mut command = with_default_signals("sh");
    command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]).arg(group.processes());
    command.arg(program()).args(arguments);
    command
}

#[test]
fn a_limit_of_tasks_that_is_too_low_ends_the_program_with_an_error() {
    let Some(group) = limited("pids", &["pids.max"], "3") else { return };
    let output = enter(&group, &["--listen", "127.0.0.1:0", "--processes", "8"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(errors.contains("cannot start worker 2: Resource temporarily unavailable"), "{errors}");
}

#[test]
fn two_processes_serve_in_a_memory_limit_of_16_mib() {
    let limit = &["memory.limit_in_bytes", "memory.max"];
    let Some(group) = limited("memory", limit, "16777216") else { return };
    let mut command = enter(&group, &["--listen", "127.0.0.1:0", "--processes", "2"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).unwrap();
    let mut server = Process::from(child);
    let address = line.trim().strip_prefix("listening on http://").expect(&line).parse().unwrap();
    let load = crate::load::Load::start(address, &crate::load::ALL_KINDS);
    load.wait_for_answers(500);
    load.end("in 16 MiB");
    let peak = group.read(&["memory.max_usage_in_bytes", "memory.peak"]).unwrap_or_default();
    say(&format!(
        "two processes under load have used {} bytes of their group's memory",
        peak.trim()
    ));
    server.signal("TERM");
    assert!(server.wait().success());
}
