//! Unix sockets and their paths.

mod watched;

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;

use squall_net::{bind_unix_socket, block_on};
use watched::{WATCHDOG, say};

fn main() {
    let tests: [(&str, fn()); 7] = [
        ("of_servers_that_bind_a_path_at_the_same_time_one_gets_it", at_once),
        ("a_server_whose_queue_is_full_keeps_its_path", full_queue),
        ("no_client_connects_before_the_mode_is_set_whatever_the_umask", mode),
        ("the_address_of_a_listener_is_its_path", address),
        ("a_path_may_have_every_length_that_the_kernel_allows", long_path),
        ("other_files_and_held_locks_beside_the_path_cause_no_hang", beside),
        ("an_empty_path_is_refused", empty),
    ];
    watched::run(program, &tests);
}

/// A directory that is removed when the test is over.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let place = std::env::temp_dir().join(format!("squall-{name}-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        Place(place)
    }

    fn path(&self) -> PathBuf {
        self.0.join("s")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program that the tests start: binds one path after the other, while another thread connects
/// to every socket of the directory.
fn program(directory: &str) {
    let directory = Path::new(directory);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for entry in fs::read_dir(directory).unwrap().filter_map(Result::ok) {
                    if UnixStream::connect(entry.path()).is_ok()
                        && let Ok(met) = fs::metadata(entry.path())
                    {
                        let mode = met.permissions().mode() & 0o777;
                        assert_eq!(
                            mode,
                            0o606,
                            "{:?} accepted a client too early",
                            entry.file_name()
                        );
                    }
                }
            }
        });
        for number in 0..500 {
            let path = directory.join(number.to_string());
            drop(bind_unix_socket(&path, 0o606).unwrap());
            fs::remove_file(&path).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    say("no client met another mode");
}

fn mode() {
    for umask in ["000", "077"] {
        let place = Place::new(&format!("mode-{umask}"));
        let script = format!("umask {umask} && exec \"$0\" as \"$1\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).arg(std::env::current_exe().unwrap()).arg(&place.0);
        let output = shell.output().unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "no client met another mode\n",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn at_once() {
    let place = Place::new("at-once");
    for round in 0..200 {
        let path = place.0.join(round.to_string());
        if round % 2 == 0 {
            drop(UnixListener::bind(&path).unwrap()); // leaves a stale socket
        }
        let begin = Barrier::new(4);
        let bound: Vec<_> = thread::scope(|scope| {
            let bind = || {
                begin.wait();
                bind_unix_socket(&path, 0o600)
            };
            let servers: Vec<_> = (0..4).map(|_| scope.spawn(bind)).collect();
            servers.into_iter().map(|server| server.join().unwrap()).collect()
        });
        let (owners, others): (Vec<_>, Vec<_>) = bound.into_iter().partition(Result::is_ok);
        assert_eq!(owners.len(), 1, "{others:?}");
        let is_in_use =
            |other: io::Result<_>| other.unwrap_err().kind() == io::ErrorKind::AddrInUse;
        assert!(others.into_iter().all(is_in_use));
        let _client = UnixStream::connect(&path).unwrap();
        owners[0].as_ref().unwrap().accept().unwrap();
    }
}

#[allow(unsafe_code, reason = "listen(2) again, for which std has no name")]
fn full_queue() {
    let place = Place::new("full");
    let server = UnixListener::bind(place.path()).unwrap();
    // SAFETY: the call takes integers.
    assert_eq!(unsafe { libc::listen(server.as_raw_fd(), 0) }, 0);
    let _client = UnixStream::connect(place.path()).unwrap();
    let (sender, outcome) = mpsc::channel();
    let path = place.path();
    thread::spawn(move || sender.send(bind_unix_socket(path, 0o600).map(drop)));
    let error = outcome.recv_timeout(WATCHDOG).expect("it hangs").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}

fn address() {
    let place = Place::new("address");
    let listener = bind_unix_socket(place.path(), 0o600).unwrap();
    assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*place.path()));
    let client = UnixStream::connect(place.path()).unwrap();
    assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*place.path()));
}

fn long_path() {
    let place = Place::new("long");
    let room = 107 - place.0.as_os_str().len() - "//s".len();
    let directory = place.0.join("x".repeat(room));
    fs::create_dir(&directory).unwrap();
    bind_unix_socket(directory.join("s"), 0o600).unwrap();
    let error = bind_unix_socket(directory.join("ss"), 0o600).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

fn beside() {
    let place = Place::new("beside");
    fs::write(place.0.join(format!(".squall-{}", std::process::id())), "").unwrap();
    bind_unix_socket(place.path(), 0o600).unwrap();
    // Any process that may read the directory can lock it, so such a lock must have no effect.
    let directory = lock(fs::File::open(&place.0).unwrap());
    drop(bind_unix_socket(place.path(), 0o600).unwrap());
    drop(directory);
    let beside = place.path().with_file_name(".s.lock");
    assert!(!beside.exists());
    let held = lock(fs::File::create(&beside).unwrap());
    let error = bind_unix_socket(place.path(), 0o600).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    drop(held); // as if its server was killed: the file stays
    bind_unix_socket(place.path(), 0o600).unwrap();
    assert!(!beside.exists());
}

fn lock(file: fs::File) -> fs::File {
    file.lock().unwrap();
    file
}

fn empty() {
    assert_eq!(bind_unix_socket("", 0o600).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    block_on(async {
        let error = squall_net::UnixListener::bind("").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}
