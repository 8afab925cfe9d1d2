//! Sockets that a process inherits, and false claims of them in `LISTEN_FDS`.

mod watched;

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Command, Stdio};

use squall_net::{bind_sockets, inherited_sockets, spawn_with_sockets};
use watched::{Watched, say};

fn main() {
    let tests: [(&str, fn()); 5] = [
        ("a_command_that_is_used_again_passes_only_the_new_sockets", used_again),
        ("a_socket_that_was_handed_over_is_closed_when_its_owner_drops_it", closed_here),
        ("a_grandchild_does_not_inherit_the_claim", grandchild),
        ("a_claim_to_a_file_that_the_program_opened_itself_is_refused", own_file),
        ("an_invalid_or_too_large_count_takes_no_descriptor", numbers),
    ];
    watched::run(program, &tests);
}

/// The programs that the tests start.
fn program(name: &str) {
    let bind = || bind_sockets(0, Some("127.0.0.1"), Default::default()).unwrap().remove(0);
    match name {
        "twice" => {
            let mut command = again("successor");
            let former = [bind(), bind(), bind()];
            let claims = ["a", "b", "c"].into_iter().zip(former.iter().map(AsFd::as_fd));
            let claims: Vec<_> = claims.collect();
            assert!(spawn_with_sockets(&mut command, &claims).unwrap().wait().unwrap().success());
            let web = bind();
            drop(former);
            say(&format!("web on {}", web.local_addr().unwrap()));
            let claims = [("web", web.as_fd())];
            assert!(spawn_with_sockets(&mut command, &claims).unwrap().wait().unwrap().success());
        }
        "successor" => {
            let sockets = inherited_sockets().unwrap();
            let named = sockets.into_iter().map(|socket| (socket.name().to_owned(), socket));
            for (name, socket) in named {
                let socket = socket.into_tcp().unwrap();
                say(&format!("{name} on {}", socket.local_addr().unwrap()));
                drop(socket);
            }
            say(&format!("{} more", sockets_here()));
        }
        "closed" => {
            let socket = bind();
            let address = socket.local_addr().unwrap();
            let mut command = Command::new("true");
            spawn_with_sockets(&mut command, &[("web", socket.as_fd())]).unwrap().wait().unwrap();
            drop(socket);
            say(&format!("free: {}", TcpListener::bind(address).is_ok()));
        }
        "grandparent" => {
            let claims = [bind()];
            let claims: Vec<_> = claims.iter().map(|socket| ("web", socket.as_fd())).collect();
            spawn_with_sockets(&mut again("parent"), &claims).unwrap().wait().unwrap();
        }
        "parent" => {
            let sockets = inherited_sockets().unwrap();
            say(&format!("1 {}", sockets.len()));
            again("helper").status().unwrap();
        }
        "helper" => {
            let mut file = File::open("/dev/zero").unwrap();
            let number = file.as_raw_fd();
            match inherited_sockets() {
                Ok(sockets) => say(&format!("2 {}", sockets.len())),
                Err(error) => say(&format!("2 {:?}: {error}", error.kind())),
            }
            assert_eq!(number, 3, "the file has the claimed number");
            assert_eq!(file.read(&mut [1; 9]).unwrap(), 9);
        }
        "claiming" => {
            let report = || match inherited_sockets() {
                Ok(sockets) => say(&sockets.len().to_string()),
                Err(error) => say(&error.to_string()),
            };
            report();
            report();
        }
        name => panic!("no program {name}"),
    }
}

fn again(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["as", name]);
    command
}

/// Counts the open sockets of this process.
fn sockets_here() -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let links = links.filter_map(|path| fs::read_link(path).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

fn used_again() {
    let mut parent = Watched::start("twice");
    let mut lines = parent.lines(7);
    lines.retain(|line| !["a", "b", "c"].contains(&&line[..1]));
    assert_eq!(&lines[..2], ["0 more", "0 more"]);
    assert_eq!(lines[2], lines[3]);
    assert!(lines[2].starts_with("web on 127.0.0.1:") && parent.end().success());
}

fn closed_here() {
    let mut process = Watched::start("closed");
    assert_eq!(process.rest(), ["free: true"]);
    assert!(process.end().success());
}

fn grandchild() {
    let mut process = Watched::start("grandparent");
    assert_eq!(process.rest(), ["1 1", "2 0"]);
    assert!(process.end().success());
}

/// Returns the output of a program that a shell starts with `LISTEN_FDS` set to `count`, and with
/// the redirections `descriptor`.
fn claim(name: &str, count: &str, descriptor: &str) -> Vec<String> {
    let script = format!("LISTEN_PID=$$ exec \"$0\" as \"$1\" {descriptor}");
    let program = std::env::current_exe().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(program).arg(name).env("LISTEN_FDS", count);
    let output = shell.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn own_file() {
    let refusal = "2 InvalidData: this process was not started with its descriptor 3";
    assert_eq!(claim("helper", "1", "3<&-"), [refusal]);
}

fn numbers() {
    for count in ["", "-1", "x", "1 ", "65536"] {
        let refusal = format!("LISTEN_FDS is {count:?}, which is no number of descriptors");
        assert_eq!(claim("claiming", count, "3</dev/null"), [&refusal[..], &refusal]);
    }
    let closed = "Bad file descriptor (os error 9)";
    for count in ["2", "65535"] {
        assert_eq!(claim("claiming", count, "3</dev/null 4<&-"), [closed, closed]);
    }
    assert_eq!(claim("claiming", "1", "3</dev/null 4<&-"), ["1", "0"]);
    assert_eq!(claim("claiming", "0", "3</dev/null"), ["0", "0"]);
}
