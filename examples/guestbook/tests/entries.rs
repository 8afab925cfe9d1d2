//! The list, and what every response has.

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
fn an_entry_is_shown_after_the_redirect() {
    let (_directory, guestbook, visitor) = start();
    assert!(guestbook.get("/").text().contains("Nobody has written anything yet."));
    let answer = visitor.post(&guestbook, " Ada ", "one\r\n  two \u{1f642}\r\n", b"");
    assert_eq!((answer.status, answer.field("location")), (303, Some("/#entry-1")));
    let page = guestbook.get("/");
    assert_eq!(page.messages(), ["one\n  two \u{1f642}"]);
    assert!(page.text().contains("<h3 dir=\"auto\">Ada</h3>") && page.picture().is_none());
    assert_eq!(page.field("cache-control"), Some("no-store"));
}

#[test]
fn pages_are_newest_first_and_do_not_move_when_entries_arrive() {
    let (_directory, guestbook, visitor) = start();
    let post = |number: u32| {
        assert_eq!(visitor.post(&guestbook, "Ada", &number.to_string(), b"").status, 303);
    };
    let numbers = |range: std::ops::RangeInclusive<u32>| -> Vec<String> {
        range.rev().map(|number| number.to_string()).collect()
    };
    let link = |page: &support::Answer, direction: &str| {
        let end = format!("\">{direction} entries</a>");
        page.text().split_once(&end).map(|(text, _)| text.rsplit('"').next().unwrap().to_owned())
    };
    (1..=25).for_each(post);
    let first = guestbook.get("/");
    assert_eq!(first.messages(), numbers(16..=25));
    assert_eq!(link(&first, "Newer"), None);
    post(26);
    let second = guestbook.get(&link(&first, "Older").unwrap());
    assert_eq!(second.messages(), numbers(6..=15));
    let third = guestbook.get(&link(&second, "Older").unwrap());
    assert_eq!(third.messages(), numbers(1..=5));
    assert_eq!(link(&third, "Older"), None);
    let back = guestbook.get(&link(&third, "Newer").unwrap());
    assert_eq!(back.messages(), numbers(6..=15));
    let back = guestbook.get(&link(&back, "Newer").unwrap());
    assert_eq!(back.messages(), numbers(16..=25));
    let newest = guestbook.get(&link(&back, "Newer").unwrap());
    assert_eq!((newest.messages(), link(&newest, "Newer")), (vec!["26"], None));
    for bad in ["/?before=x", "/?after=", "/?before=99999999999999999999"] {
        assert_eq!(guestbook.get(bad).status, 400, "{bad}");
    }
}

#[test]
fn hostile_text_is_shown_as_text() {
    let (_directory, guestbook, visitor) = start();
    let attack = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&{{token}}";
    let escaped = "&quot;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x \
        onerror=alert(1)&gt;&amp;{{token}}";
    assert_eq!(visitor.post(&guestbook, "</h3><script>", attack, b"").status, 303);
    assert_eq!(guestbook.get("/").messages(), [escaped]);
    // In the form, the name is in an attribute and the message in a textarea.
    let refused = visitor.post(&guestbook, attack, "</textarea><script>\0", b"");
    assert_eq!((refused.status, refused.value("name")), (422, Some(escaped)));
    assert_eq!(refused.textarea(), "&lt;/textarea&gt;&lt;script&gt;\0");
    let own_script = "<script src=\"/static/script.js\" defer></script>";
    for page in [guestbook.get("/"), refused] {
        assert_eq!(page.text().matches("<script").count(), 1);
        assert!(page.text().contains(own_script) && !page.text().contains("<img src=x"));
    }
    let refused = visitor.send(&guestbook, &multipart(&[("<script>", &b""[..]); 30]));
    assert!(refused.status == 400 && !refused.text().contains("<script"));
}

#[test]
fn every_response_forbids_foreign_content_and_guessed_types() {
    let (_directory, guestbook, visitor) = start();
    visitor.post(&guestbook, "Ada", "hi", &picture(100));
    let picture = guestbook.get("/").picture().unwrap().to_owned();
    let own = ["/", "/static/style.css", "/static/script.js", "/static/icon.svg", &picture];
    for target in own.into_iter().chain(["/none"]) {
        let answer = guestbook.get(target);
        assert_eq!(answer.status, if target == "/none" { 404 } else { 200 }, "{target}");
        let policy = answer.field("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"), "{target}");
    }
    let style = guestbook.get("/static/style.css");
    let known = format!("If-None-Match: {}\r\n", style.field("etag").unwrap());
    assert_eq!(guestbook.ask("GET", "/static/style.css", &known, b"").status, 304);
}

#[test]
fn a_form_that_is_sent_twice_is_stored_once_and_a_changed_one_is_another_entry() {
    let (directory, guestbook, visitor) = start();
    let picture = picture(100);
    let first = visitor.post(&guestbook, "Ada", "hi", &picture);
    let again = visitor.post(&guestbook, "Ada", "hi", &picture);
    assert_eq!((first.status, again.status), (303, 303));
    assert_eq!(first.field("location"), again.field("location"));
    assert_eq!(guestbook.get("/").messages(), ["hi"]);
    support::wait_until("the second picture is removed", || picture_files(&directory).len() == 1);
    visitor.post(&guestbook, "Ada", "hello", &picture);
    Visitor::new(&guestbook).post(&guestbook, "Ada", "hi", &picture);
    assert_eq!(guestbook.get("/").messages(), ["hi", "hello", "hi"]);
}
