//! Forms that are refused: incomplete ones, those of strangers, and too many.

mod support;

use support::{Directory, Guestbook, Visitor, multipart, picture, picture_files};

/// Starts a guestbook and loads its form.
fn start() -> (Directory, Guestbook, Visitor) {
    let directory = Directory::new();
    let guestbook = Guestbook::start(&directory.0, &[]);
    let visitor = Visitor::new(&guestbook);
    (directory, guestbook, visitor)
}

#[test]
fn each_problem_stands_beside_its_field_and_the_typed_text_stays() {
    let (directory, guestbook, visitor) = start();
    let (long_name, long_message) = ("ä".repeat(61), "x".repeat(2001));
    let no_name = "Please enter your name.";
    let no_message = "Please write a message.";
    let no_picture = "Please choose a picture of the type PNG, JPEG, GIF or WebP.";
    let long_names = "At most 60 characters, please. These are 61.";
    let long_messages = "At most 2000 characters, please. These are 2001.";
    let unseen = "There is a character here that cannot be shown.";
    for (name, message, picture, problems) in [
        ("", "hi", &b""[..], [Some(no_name), None, None]),
        ("Ada", " \r\n ", b"", [None, Some(no_message), None]),
        ("Ada", "hi", b"<svg/>", [None, None, Some(no_picture)]),
        ("", "", b"<svg/>", [Some(no_name), Some(no_message), Some(no_picture)]),
        (&long_name, "hi", b"", [Some(long_names), None, None]),
        ("Ada", &long_message, b"", [None, Some(long_messages), None]),
        ("A\0da", "a\u{1b}[1m", b"", [Some(unseen), Some(unseen), None]),
    ] {
        let answer = visitor.post(&guestbook, name, message, picture);
        assert_eq!(answer.status, 422);
        let found = ["name", "message", "picture"].map(|field| answer.problem(field));
        assert_eq!(found, problems);
        let marked = answer.text().matches("aria-invalid=\"true\"").count();
        assert_eq!(marked, problems.iter().flatten().count());
        assert_eq!((answer.value("name"), answer.textarea()), (Some(name), message.trim()));
        assert_eq!(answer.value("form_number"), Some(&*visitor.form_number));
    }
    assert_eq!(guestbook.get("/").messages(), [""; 0]);
    assert_eq!(picture_files(&directory), []);
}

#[test]
fn a_form_without_the_browser_s_token_is_403_and_nothing_is_stored() {
    let (directory, guestbook, visitor) = start();
    let other = Visitor::new(&guestbook);
    let picture = picture(200_000);
    for (what, cookie, token) in [
        ("another token", &*visitor.cookie, &*other.token),
        ("an empty token", &visitor.cookie, ""),
        ("a part of the token", &visitor.cookie, &visitor.token[1..]),
        ("another cookie", &other.cookie, &visitor.token),
        ("no cookie", "x=y", &visitor.token),
        ("neither", "guestbook=", ""),
    ] {
        let [cookie, token] = [cookie, token].map(str::to_owned);
        let stranger = Visitor { cookie, token, form_number: String::new() };
        let answer = stranger.post(&guestbook, "Eve", "hi", &picture);
        assert_eq!(answer.status, 403, "{what}");
        assert!(answer.text().contains("<h1>Forbidden</h1>"));
    }
    let token = ("token", visitor.token.as_bytes());
    let fields: [(&str, &[u8]); 3] = [("name", b"Eve"), ("message", b"hi"), ("picture", &picture)];
    let [name, message, with_picture] = fields;
    for (what, parts) in [
        ("no token", &fields[..]),
        ("no token and no picture", &fields[..2]),
        ("the token after the picture", &[name, message, with_picture, token]),
    ] {
        assert_eq!(visitor.send(&guestbook, &multipart(parts)).status, 403, "{what}");
    }
    assert_eq!(guestbook.get("/").messages(), [""; 0]);
    assert_eq!(picture_files(&directory), []);
    assert_eq!(visitor.post(&guestbook, "Ada", "hi", &picture).status, 303);
}

#[test]
fn the_cookie_is_out_of_the_reach_of_scripts_and_of_other_sites() {
    let (directory, guestbook, visitor) = start();
    let cookie = guestbook.get("/").field("set-cookie").unwrap().to_owned();
    for attribute in ["; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "there is no TLS: {cookie}");
    // A browser that has one keeps it, so that a form in another tab stays valid.
    let page = guestbook.ask("GET", "/", &format!("Cookie: {}\r\n", visitor.cookie), b"");
    assert_eq!((page.field("set-cookie"), page.value("token")), (None, Some(&*visitor.token)));
    drop(guestbook);
    let guestbook = Guestbook::start(&directory.0, &["--behind-proxy"]);
    let page = guestbook.ask("GET", "/", "X-Forwarded-Proto: https\r\n", b"");
    assert!(page.field("set-cookie").unwrap().contains("; Secure"));
    assert_eq!(visitor.post(&guestbook, "Ada", "after a restart", b"").status, 303);
}

#[test]
fn a_client_that_posts_too_often_is_429_and_keeps_its_text() {
    let directory = Directory::new();
    let options = ["--posts-a-minute", "2", "--behind-proxy"];
    let guestbook = Guestbook::start(&directory.0, &options);
    let visitor = Visitor::new(&guestbook);
    let post = |forwarded: &str, message: &str| {
        let fields = format!("{}X-Forwarded-For: {forwarded}\r\n", visitor.fields());
        let body = visitor.form("Ada", message, &picture(100_000));
        guestbook.ask("POST", "/", &fields, &body)
    };
    assert_eq!(post("192.0.2.1", "1").status, 303);
    assert_eq!(post("192.0.2.1", "2").status, 303);
    let refused = post("192.0.2.1", "3");
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!(refused.status == 429 && (1..=61).contains(&wait), "{}", refused.head);
    assert_eq!(refused.textarea(), "3");
    assert!(refused.text().contains("role=\"alert\""));
    // What a client writes into the field itself does not count.
    assert_eq!(post("198.51.100.9, 192.0.2.1", "4").status, 429);
    assert_eq!(post("192.0.2.1, 198.51.100.9", "5").status, 303);
    assert_eq!(guestbook.get("/").messages(), ["5", "2", "1"]);
    assert_eq!(picture_files(&directory).len(), 3);
}
