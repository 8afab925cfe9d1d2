//! A PostgreSQL server of the test's own, in a temporary directory and behind a Unix socket.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::say;

/// The user that runs the server if the test runs as root, which PostgreSQL refuses.
const USER: &str = "postgres";

/// A server. Dropping it stops it and removes its directory.
pub(crate) struct Postgres {
    directory: PathBuf,
    programs: PathBuf,
    is_root: bool,
}

impl Postgres {
    /// Starts a server. Returns `None` after a line on standard error if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Postgres> {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let Some(programs) = programs() else {
            say("skipped: postgresql is not installed");
            return None;
        };
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let name = format!("squall-chat-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let is_root = output(Command::new("id").arg("-u")).stdout == b"0\n";
        if is_root {
            let id = output(Command::new("id").args(["-u", USER]));
            let id = String::from_utf8(id.stdout).unwrap().trim().parse().unwrap();
            chown(&directory, Some(id), None).unwrap();
        }
        let postgres = Postgres { directory, programs, is_root };
        postgres.run("initdb", &["--auth=trust", "--username=chat", "--no-sync", "-E", "UTF8"]);
        postgres.restart();
        Some(postgres)
    }

    /// Where the chat finds the database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://chat@/postgres?host={}", self.directory.display())
    }

    /// Starts the server again.
    pub(crate) fn restart(&self) {
        self.start_at(&self.directory);
    }

    /// Starts the server where only the test finds it, runs a query, and stops it.
    pub(crate) fn query_in_hiding(&self, query: &str) {
        let hidden = self.directory.join("data");
        self.start_at(&hidden);
        self.query_at(&hidden, query);
        self.stop("fast");
    }

    fn start_at(&self, directory: &Path) {
        // Only on a Unix socket; and as safe as in service, but for power cuts.
        let options = format!("-c listen_addresses= -k {} -F", directory.display());
        let log = self.directory.join("log");
        self.run("pg_ctl", &["start", "-w", "-l", log.to_str().unwrap(), "-o", &options]);
    }

    /// Ends the server: `fast` as an operator does, `immediate` as a crash.
    pub(crate) fn stop(&self, mode: &str) {
        self.run("pg_ctl", &["stop", "-w", "-m", mode]);
    }

    /// Runs a query and returns what it prints.
    pub(crate) fn query(&self, query: &str) -> String {
        self.query_at(&self.directory, query)
    }

    /// Opens a session that reads queries from its standard input.
    pub(crate) fn session(&self) -> Child {
        let mut command = Command::new(self.programs.join("psql"));
        command.arg("-h").arg(&self.directory).args(["-U", "chat", "-d", "postgres", "-Atq"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn query_at(&self, directory: &Path, query: &str) -> String {
        let host = directory.to_str().unwrap();
        let arguments = ["-h", host, "-U", "chat", "-d", "postgres", "-Atc", query];
        let output = output(Command::new(self.programs.join("psql")).args(arguments));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        output(self.command(program).args(arguments));
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = if self.is_root {
            let mut command = Command::new("runuser");
            command.args(["-u", USER, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("-D").arg(self.directory.join("data")).current_dir("/");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        let _ = stop.args(["stop", "-w", "-m", "immediate"]).output(); // it may be stopped already
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The directory of the newest installed version, which is not on Debian's path.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut versions: Vec<_> = versions.filter_map(|entry| Some(entry.ok()?.path())).collect();
    versions.sort();
    let programs = versions.pop()?.join("bin");
    Path::new(&programs).join("initdb").exists().then_some(programs)
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
