//! The program: its options, its end, its data directory, and SQLite.

mod support;

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::sync::mpsc;
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use support::{
    Answer, Directory, Guestbook, Visitor, picture, picture_files, request, run, wait_until,
};

#[test]
fn everything_acknowledged_survives_sigkill() {
    let directory = Directory::new();
    let mut guestbook = Guestbook::start(&directory.0, &[]);
    let mut acknowledged = HashSet::new();
    for round in 0..3 {
        let (sender, acknowledgements) = mpsc::channel();
        let visitor = Visitor::new(&guestbook);
        let address = guestbook.address.clone();
        let posting = thread::spawn(move || {
            for number in 0.. {
                let message = format!("{round}.{number}");
                let body = visitor.form("Ada", &message, &picture(number % 3 * 50_000));
                let Ok(mut stream) = std::net::TcpStream::connect(&address) else { return };
                let sent = stream.write_all(&request("POST", "/", &visitor.fields(), &body));
                match sent.and_then(|()| Answer::read(&mut stream)) {
                    Ok(answer) => {
                        assert_eq!(answer.status, 303);
                        let _ = sender.send(message); // the receiver has heard enough
                    }
                    Err(_) => return,
                }
            }
        });
        acknowledged.extend(acknowledgements.iter().take(7));
        guestbook.child.kill().unwrap(); // SIGKILL, while the next form is under way
        posting.join().unwrap();
        acknowledged.extend(acknowledgements.try_iter());
        guestbook = Guestbook::start(&directory.0, &[]);
    }
    let (mut stored, mut pictures) = (Vec::new(), 0);
    let mut target = "/".to_owned();
    loop {
        let page = guestbook.get(&target);
        stored.extend(page.messages().into_iter().map(str::to_owned));
        for part in page.text().split("<img src=\"").skip(1) {
            let picture = part.split('"').next().unwrap();
            assert_eq!(guestbook.get(picture).status, 200, "{picture}");
            pictures += 1;
        }
        let Some((before, _)) = page.text().split_once("\">Older entries</a>") else { break };
        target = before.rsplit('"').next().unwrap().to_owned();
    }
    let distinct: HashSet<String> = stored.iter().cloned().collect();
    assert!(acknowledged.is_subset(&distinct), "{acknowledged:?} and {stored:?}");
    assert_eq!(distinct.len(), stored.len(), "an entry is there twice");
    assert!(acknowledged.len() >= 21 && pictures >= 6);
    assert!(picture_files(&directory).iter().all(|(name, _)| !name.starts_with('.')));
}

#[test]
fn a_database_that_comes_late_costs_error_pages_and_nothing_else() {
    let directory = Directory::new();
    let missing = directory.0.join("missing");
    let file = missing.join("entries.db");
    let guestbook = Guestbook::start(&directory.0, &["--database", file.to_str().unwrap()]);
    let page = guestbook.get("/");
    assert_eq!((page.status, page.field("retry-after")), (503, Some("5")));
    assert!(page.text().contains("The entries cannot be read at the moment."));
    let visitor = Visitor::new(&guestbook); // the form is there
    let refused = visitor.post(&guestbook, "Ada", "wait for me", &picture(100));
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("5")));
    assert_eq!((refused.value("name"), refused.textarea()), (Some("Ada"), "wait for me"));
    wait_until("its picture is removed", || picture_files(&directory).is_empty());
    fs::create_dir(&missing).unwrap();
    assert_eq!(guestbook.get("/").status, 200);
    assert_eq!(visitor.post(&guestbook, "Ada", "wait for me", &picture(100)).status, 303);
    assert_eq!(guestbook.get("/").messages(), ["wait for me"]);
}

#[test]
fn a_second_program_keeps_out_of_the_directory_and_a_new_one_tidies_it() {
    let directory = Directory::new();
    let guestbook = Guestbook::start(&directory.0, &[]);
    let second = run(&directory.0, &[]);
    let pictures = directory.0.join("pictures");
    let expected = format!("guestbook: {} is in use by another guestbook\n", pictures.display());
    assert_eq!(second.status.code(), Some(1));
    assert_eq!(String::from_utf8(second.stderr).unwrap(), expected);
    drop(guestbook); // SIGKILL
    fs::write(pictures.join(".partial-x"), "left by a program that was killed").unwrap();
    fs::write(pictures.join("a.png"), "of an entry").unwrap();
    let _guestbook = Guestbook::start(&directory.0, &[]);
    assert_eq!(picture_files(&directory), [("a.png".to_owned(), 11)]);
}

#[test]
fn sigterm_finishes_the_running_request_and_then_the_program() {
    let directory = Directory::new();
    let mut guestbook = Guestbook::start(&directory.0, &[]);
    let visitor = Visitor::new(&guestbook);
    let body = visitor.form("Ada", "just in time", &picture(500_000));
    let mut whole = request("POST", "/", &visitor.fields(), &body);
    let rest = whole.split_off(whole.len() - 100_000);
    let mut stream = guestbook.connect();
    stream.write_all(&whole).unwrap();
    wait_until("the upload has begun", || !picture_files(&directory).is_empty());
    kill_process(Pid::from_child(&guestbook.child), Signal::TERM).unwrap();
    wait_until("the program accepts no more", || {
        std::net::TcpStream::connect(&guestbook.address).is_err()
    });
    stream.write_all(&rest).unwrap();
    assert_eq!(Answer::read(&mut stream).unwrap().status, 303);
    assert_eq!(guestbook.child.wait().unwrap().code(), Some(0));
    let guestbook = Guestbook::start(&directory.0, &[]);
    assert_eq!(guestbook.get("/").messages(), ["just in time"]);
}

#[test]
fn a_wrong_command_line_is_one_plain_line() {
    let directory = Directory::new();
    for (options, code, line) in [
        (&["--posts-a-minute", "x"][..], 2, "cannot parse argument \"x\""),
        (&["--what"], 2, "try --help"),
        (&["--database", "postgres://u@h:port/x"], 1, "the address of the database is malformed"),
        (&["--listen", "127.0.0.1:1:2"], 1, "cannot listen on 127.0.0.1:1:2"),
    ] {
        let output = run(&directory.0, options);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.starts_with("guestbook: ") && errors.contains(line), "{errors}");
        assert_eq!(errors.lines().count(), 1);
    }
    let help = run(&directory.0, &["--help"]);
    assert!(help.status.success() && help.stdout.starts_with(b"A guestbook with pictures"));
}
