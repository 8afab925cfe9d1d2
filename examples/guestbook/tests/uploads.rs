//! Pictures: how they come, what is refused, and what is left of those that do not come whole.

mod support;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use support::{
    Answer, Directory, Guestbook, Visitor, multipart, picture, picture_files, request, wait_until,
};

const MAX_PICTURE: usize = 2 << 20;

/// Starts a guestbook and loads its form.
fn start() -> (Directory, Guestbook, Visitor) {
    let directory = Directory::new();
    let guestbook = Guestbook::start(&directory.0, &[]);
    let visitor = Visitor::new(&guestbook);
    (directory, guestbook, visitor)
}

/// Sends a form up to the middle of a picture of 1 MiB, and waits until a part of it is on the disk.
/// Returns the rest.
fn begin_upload(
    directory: &Directory,
    guestbook: &Guestbook,
    visitor: &Visitor,
) -> (TcpStream, Vec<u8>) {
    let body = visitor.form("Ada", "slow", &picture(1 << 20));
    let mut whole = request("POST", "/", &visitor.fields(), &body);
    let rest = whole.split_off(whole.len() - (1 << 19));
    let mut stream = guestbook.connect();
    stream.write_all(&whole).unwrap();
    // Not all of it: the last bytes wait for the next ones.
    wait_until("the picture is written while it comes", || {
        let files = picture_files(directory);
        files.iter().any(|(name, length)| name.starts_with('.') && *length >= 256 << 10)
    });
    (stream, rest)
}

#[test]
fn a_picture_is_served_as_it_was_sent_with_its_type() {
    let (directory, guestbook, visitor) = start();
    for (beginning, content_type, length) in [
        (&b"\x89PNG\r\n\x1a\n"[..], "image/png", 8),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg", 65_536),
        (b"GIF89a\x01\0", "image/gif", 65_537),
        (b"RIFF\x04\0\0\0WEBP", "image/webp", 300_000),
    ] {
        let picture = [beginning, &picture(length)].concat();
        assert_eq!(visitor.post(&guestbook, "Ada", content_type, &picture).status, 303);
        let page = guestbook.get("/");
        let answer = guestbook.get(page.picture().unwrap());
        assert_eq!((answer.status, answer.field("content-type")), (200, Some(content_type)));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert!(answer.body == picture, "{content_type}");
    }
    assert_eq!(picture_files(&directory).len(), 4);
}

#[test]
fn a_picture_of_exactly_the_limit_is_stored_and_one_byte_more_is_413() {
    let (directory, guestbook, visitor) = start();
    assert_eq!(visitor.post(&guestbook, "Ada", "max", &picture(MAX_PICTURE)).status, 303);
    let stored = picture_files(&directory);
    assert!(matches!(&stored[..], [(_, length)] if *length == MAX_PICTURE as u64));
    for length in [MAX_PICTURE + 1, 8 << 20] {
        let answer = visitor.post(&guestbook, "Ada", "more", &picture(length));
        assert_eq!(answer.status, 413, "{length}");
        let problem = "Please choose a picture of at most 2 MiB.";
        assert_eq!((answer.problem("picture"), answer.textarea()), (Some(problem), "more"));
    }
    wait_until("the partial files are removed", || picture_files(&directory) == stored);
    assert_eq!(guestbook.get("/").messages(), ["max"]);
}

#[test]
fn a_file_that_only_claims_to_be_a_picture_is_refused() {
    let (directory, guestbook, visitor) = start();
    let claim = "picture\"; filename=\"a.png\"\r\nContent-Type: image/png\r\nX-Rest: \"";
    for content in [&b"<script>alert(1)</script>"[..], b"\x89PN", b"GIF8", b" \x89PNG\r\n\x1a\n"] {
        let token = ("token", visitor.token.as_bytes());
        let (name, message) = (("name", &b"Eve"[..]), ("message", &b"hi"[..]));
        let body = multipart(&[token, name, message, (claim, content)]);
        let answer = visitor.send(&guestbook, &body);
        assert_eq!(answer.status, 422);
        assert!(answer.problem("picture").unwrap().contains("PNG, JPEG, GIF or WebP"));
    }
    assert_eq!(guestbook.get("/").messages(), [""; 0]);
    assert_eq!(picture_files(&directory), []);
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_no_file() {
    let (directory, guestbook, visitor) = start();
    let is_empty = || picture_files(&directory).is_empty();
    let (stream, _) = begin_upload(&directory, &guestbook, &visitor);
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream); // a reset
    wait_until("the file of a reset upload is removed", is_empty);
    let (mut stream, _) = begin_upload(&directory, &guestbook, &visitor);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Answer::read(&mut stream).unwrap().status, 400);
    wait_until("the file of a short upload is removed", is_empty);
    assert_eq!(guestbook.get("/").messages(), [""; 0]);
}

#[test]
fn a_slow_upload_holds_up_no_other_request() {
    let (directory, guestbook, visitor) = start();
    let (mut stream, rest) = begin_upload(&directory, &guestbook, &visitor);
    // The upload waits for its client during all of this.
    let other = Visitor::new(&guestbook);
    assert_eq!(other.post(&guestbook, "Bob", "fast", &picture(300_000)).status, 303);
    let page = guestbook.get("/");
    assert_eq!(page.messages(), ["fast"]);
    assert!(guestbook.get(page.picture().unwrap()).body == picture(300_000));
    let partial = picture_files(&directory).into_iter().find(|(name, _)| name.starts_with('.'));
    let hidden = format!("/pictures/{}", partial.unwrap().0);
    assert_eq!(guestbook.get(&hidden).status, 404);
    stream.write_all(&rest).unwrap();
    assert_eq!(Answer::read(&mut stream).unwrap().status, 303);
    assert_eq!(guestbook.get("/").messages(), ["slow", "fast"]);
}

#[test]
fn a_form_with_ten_thousand_parts_is_refused() {
    let (directory, guestbook, visitor) = start();
    let token = ("token", visitor.token.as_bytes());
    for name in ["other", "name", "", "picture"] {
        let mut parts = vec![(name, &b"x"[..]); 10_001];
        parts[0] = token;
        let status = visitor.send(&guestbook, &multipart(&parts)).status;
        // The first of the pictures is no picture.
        assert_eq!(status, if name == "picture" { 422 } else { 400 }, "{name}");
    }
    let url_encoded = "Content-Type: application/x-www-form-urlencoded\r\n";
    let fields = "name=x&".repeat(10_000);
    assert_eq!(guestbook.ask("POST", "/", url_encoded, fields.as_bytes()).status, 415);
    let long = [token, ("message", &[b'x'; 100_000])];
    assert_eq!(visitor.send(&guestbook, &multipart(&long)).status, 413);
    let twice = [token, ("name", &b"Ada"[..]), ("name", b"Bob")];
    assert_eq!(visitor.send(&guestbook, &multipart(&twice)).status, 400);
    let mut cut = visitor.form("Ada", "cut", &picture(200_000));
    cut.truncate(cut.len() - 10);
    assert_eq!(visitor.send(&guestbook, &cut).status, 400);
    wait_until("no file is left", || picture_files(&directory).is_empty());
    assert_eq!(guestbook.get("/").messages(), [""; 0]);
}

#[test]
fn a_form_that_arrives_byte_by_byte_is_the_same() {
    let (_directory, guestbook, visitor) = start();
    let body = visitor.form("Ada", "--\r\n----guestbook\r\n", &picture(500));
    let mut stream = guestbook.connect();
    for byte in request("POST", "/", &visitor.fields(), &body) {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(Answer::read(&mut stream).unwrap().status, 303);
    let page = guestbook.get("/");
    assert_eq!(page.messages(), ["--\n----guestbook"]);
    assert!(guestbook.get(page.picture().unwrap()).body == picture(500));
}

#[test]
fn a_disk_that_takes_no_more_is_an_error_page_and_leaves_nothing() {
    let (directory, mut guestbook, visitor) = start();
    // A limit on the size of files stands for a full disk.
    let limit = Rlimit { current: Some(100_000), maximum: Some(100_000) };
    prlimit(Some(Pid::from_child(&guestbook.child)), Resource::Fsize, limit).unwrap();
    let answer = visitor.post(&guestbook, "Ada", "hi", &picture(300_000));
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("<h1>Internal Server Error</h1>"));
    wait_until("no file is left", || picture_files(&directory).is_empty());
    assert_eq!(visitor.post(&guestbook, "Ada", "no picture", b"").status, 303);
    assert!(guestbook.child.try_wait().unwrap().is_none());
}
