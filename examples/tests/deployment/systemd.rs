//! The units of `examples/deploy` under a systemd of their own, in namespaces.

use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::cgroup::Cgroup;
use crate::load::{Load, NEW_CONNECTIONS};
use crate::program::{
    Process, children, deploy, example, free_addresses, get, has_socket, wait_until,
};
use crate::support::say;

/// Process 1 of a container, which dies with the container.
struct Systemd {
    container: Process,
    _cgroup: Cgroup,
}

impl Systemd {
    /// Boots systemd with the units of squall and no others. Returns `None` and prints a line if
    /// the machine does not allow that.
    fn boot(address: SocketAddr) -> Option<Systemd> {
        let cgroup = match Cgroup::new("", "systemd") {
            Ok(cgroup) => cgroup,
            Err(error) => {
                say(&format!("skipped: systemd in a container: {error}"));
                return None;
            }
        };
        let boot = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deployment/boot_systemd.sh");
        let enter = "echo $$ >\"$0\" && exec unshare --fork --pid --kill-child=KILL --mount-proc --mount \
                     --ipc --uts --cgroup sh \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", enter]).arg(cgroup.processes()).arg(boot).arg(deploy(""));
        command.arg(example("prefork")).arg(address.to_string());
        let container = Process::start(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let mut systemd = Systemd { container, _cgroup: cgroup };
        let mut has_ended = false;
        wait_until("systemd runs", || {
            has_ended = systemd.container.has_ended();
            has_ended || systemd.try_systemctl(&["daemon-reload"]).is_ok()
        });
        if has_ended {
            say("skipped: systemd in a container: it does not start here");
            return None;
        }
        Some(systemd)
    }

    /// The number of systemd outside of the container.
    fn process(&self) -> Option<u32> {
        children(self.container.id()).first().copied()
    }

    /// The main process of squall's service.
    fn main_process(&self) -> Option<u32> {
        children(self.process()?).into_iter().find(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "prefork\n")
        })
    }

    fn systemctl(&self, arguments: &[&str]) {
        self.try_systemctl(arguments)
            .unwrap_or_else(|error| panic!("systemctl {arguments:?}: {error}"));
    }

    fn try_systemctl(&self, arguments: &[&str]) -> Result<(), String> {
        let process = self.process().ok_or("the container does not run")?.to_string();
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &process,
            "--mount",
            "--pid",
            "--cgroup",
            "systemctl",
            "--quiet",
        ]);
        let output = command.args(arguments).output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

// X7, by the service manager
#[test]
fn under_systemd_a_reload_and_a_restart_lose_no_request_and_a_crash_is_repaired() {
    let [address] = free_addresses();
    let Some(systemd) = Systemd::boot(address) else { return };
    systemd.systemctl(&["enable", "--now", "squall.socket"]);
    assert!(has_socket(address, "0A"));
    assert_eq!(systemd.main_process(), None, "no connection has come yet");
    assert!(get(address).unwrap().ends_with("Hello, World!"));
    let main = systemd.main_process().expect("the socket unit has started it");
    wait_until("both workers run", || children(main).len() == 2);
    let workers = children(main);

    let load = Load::start(address, &NEW_CONNECTIONS);
    systemd.systemctl(&["reload", "squall.service"]);
    wait_until("the workers are replaced", || {
        let now = children(main);
        now.len() == 2 && now.iter().all(|pid| !workers.contains(pid))
    });
    load.wait_for_answers(20);
    assert_eq!(systemd.main_process(), Some(main));
    systemd.systemctl(&["restart", "squall.service"]);
    load.end("systemd, a reload and a restart");
    let second = systemd.main_process().expect("it was started again");
    assert_ne!(second, main);

    assert!(Command::new("kill").args(["-KILL", &second.to_string()]).status().unwrap().success());
    wait_until("systemd has started it again", || {
        systemd.main_process().is_some_and(|pid| pid != second)
    });
    assert!(get(address).unwrap().ends_with("Hello, World!"));

    systemd.systemctl(&["stop", "squall.socket", "squall.service"]);
    assert_eq!(systemd.main_process(), None);
    assert!(get(address).is_err());
}
