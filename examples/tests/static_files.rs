//! The files of a directory: paths, ranges, conditions, and what must not get out.

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use support::{LocalServer, tool};
use tiny_http::{Application, Config, StaticFiles};

/// A directory with files, which is removed at the end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("squall-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("public/sub")).unwrap();
        fs::write(path.join("secret"), "secret").unwrap();
        let public = path.join("public");
        fs::write(public.join("index.html"), "<p>index").unwrap();
        fs::write(public.join("sub/index.html"), "<p>sub").unwrap();
        fs::write(public.join("ten.txt"), "0123456789").unwrap();
        fs::write(public.join("empty"), "").unwrap();
        fs::write(public.join(".hidden"), "secret").unwrap();
        symlink("ten.txt", public.join("inside")).unwrap();
        symlink("../secret", public.join("outside")).unwrap();
        symlink("/etc/passwd", public.join("absolute")).unwrap();
        symlink("loop", public.join("loop")).unwrap();
        Directory(path)
    }

    fn serve(&self) -> LocalServer {
        let public = self.0.join("public");
        LocalServer::start_handler(Config::default(), || {
            Application::new().route("/files/{*path}", StaticFiles::new(public).unwrap())
        })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // a file left in /tmp does no harm
    }
}

/// Asks for a file with these fields. Returns the head and the body.
fn get(server: &LocalServer, path: &str, fields: &str) -> (String, String) {
    let request = format!("GET /files/{path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    server.connect().send(request).answer()
}

fn field<'h>(head: &'h str, name: &str) -> &'h str {
    let line = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("no {name} in {head}"))
}

#[test]
fn a_file_comes_with_its_type_and_a_directory_with_its_index() {
    let directory = Directory::new("files");
    let server = directory.serve();
    for (path, content_type, body) in [
        ("ten.txt", "text/plain; charset=utf-8", "0123456789"),
        ("inside", "application/octet-stream", "0123456789"),
        ("", "text/html; charset=utf-8", "<p>index"),
        ("sub/", "text/html; charset=utf-8", "<p>sub"),
        ("sub/index%2Ehtml", "text/html; charset=utf-8", "<p>sub"),
        ("empty", "application/octet-stream", ""),
    ] {
        let (head, got) = get(&server, path, "");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {head}");
        assert_eq!((field(&head, "Content-Type"), &*got), (content_type, body), "{path}");
        assert_eq!(field(&head, "Content-Length"), body.len().to_string(), "{path}");
    }
    let (head, _) = get(&server, "sub", "");
    assert!(head.starts_with("HTTP/1.1 301 ") && field(&head, "location") == "/files/sub/");
    let head =
        server.connect().send("HEAD /files/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n").end().rest();
    assert!(head.contains("Content-Length: 10\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let posted =
        server.connect().send("POST /files/ten.txt HTTP/1.1\r\nHost: x\r\n\r\n").end().rest();
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
}

#[test]
fn no_path_leads_out_of_the_directory() {
    let directory = Directory::new("escape");
    let fifo = directory.0.join("public/fifo");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let server = directory.serve();
    for path in [
        "../secret",
        "..%2Fsecret",
        "sub/../../secret",
        "sub/%2E%2E/%2e%2e/secret",
        "%2Fetc%2Fpasswd",
        "/etc/passwd",
        "outside",
        "absolute",
        "loop",
        ".hidden",
        "sub/./index.html",
        "ten.txt/",
        "ten.txt/x",
        "ten.txt%00",
        "fifo",
        "none",
        &"x/".repeat(3000),
        &"x".repeat(300),
    ] {
        let (head, body) = get(&server, path, "");
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
        assert_eq!(body, "404 Not Found\n", "{path}");
    }
    assert!(get(&server, "ten.txt%ff", "").0.starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_range_is_a_206_with_its_part() {
    let directory = Directory::new("ranges");
    let server = directory.serve();
    let tag = field(&get(&server, "ten.txt", "").0, "etag").to_owned();
    let date = field(&get(&server, "ten.txt", "").0, "last-modified").to_owned();
    for (fields, status, range, body) in [
        ("Range: bytes=2-4\r\n", "206", "bytes 2-4/10", "234"),
        ("Range: bytes=-3\r\n", "206", "bytes 7-9/10", "789"),
        ("Range: bytes=8-99\r\n", "206", "bytes 8-9/10", "89"),
        ("Range: bytes=10-\r\n", "416", "bytes */10", "416 Range Not Satisfiable\n"),
        ("Range: bytes=0-1,3-4\r\n", "200", "", "0123456789"),
        ("Range: bytes=x\r\n", "200", "", "0123456789"),
        (&format!("Range: bytes=2-4\r\nIf-Range: {tag}\r\n"), "206", "bytes 2-4/10", "234"),
        (&format!("Range: bytes=2-4\r\nIf-Range: {date}\r\n"), "206", "bytes 2-4/10", "234"),
        ("Range: bytes=2-4\r\nIf-Range: \"old\"\r\n", "200", "", "0123456789"),
        ("Range: bytes=2-4\r\nIf-Range: yesterday\r\n", "200", "", "0123456789"),
    ] {
        let (head, got) = get(&server, "ten.txt", fields);
        assert_eq!((&head[9..12], &*got), (status, body), "{fields}");
        if !range.is_empty() {
            assert_eq!(field(&head, "content-range"), range, "{fields}");
        }
    }
}

// WEB-14
#[test]
fn a_file_that_the_client_has_is_a_304() {
    let directory = Directory::new("conditions");
    let server = directory.serve();
    let (head, _) = get(&server, "ten.txt", "");
    let (tag, date) = (field(&head, "etag"), field(&head, "last-modified"));
    for (fields, status) in [
        (format!("If-None-Match: {tag}\r\n"), "304"),
        (format!("If-None-Match: \"x\", W/{tag}\r\n"), "304"),
        (format!("If-Modified-Since: {date}\r\n"), "304"),
        ("If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT\r\n".to_owned(), "200"),
        ("If-Modified-Since: soon\r\n".to_owned(), "200"),
        // A tag counts more than a date.
        (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"), "200"),
    ] {
        let (head, body) = get(&server, "ten.txt", &fields);
        assert_eq!(&head[9..12], status, "{fields}");
        assert_eq!(body.is_empty(), status == "304", "{fields}");
        assert_eq!(field(&head, "etag"), tag);
    }
    fs::write(directory.0.join("public/ten.txt"), "9876543210").unwrap();
    let (head, body) = get(&server, "ten.txt", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((&head[9..12], &*body), ("200", "9876543210"));
}

#[test]
fn a_large_file_arrives_whole_and_one_that_shrinks_never_does() {
    let directory = Directory::new("large");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let path = directory.0.join("public/large.bin");
    fs::write(&path, &bytes).unwrap();
    let server = directory.serve();
    let url = format!("http://{}/files/large.bin", server.address);
    let copy = directory.0.join("copy");
    if tool("curl", &["-sS", "-o", copy.to_str().unwrap(), &url]).is_some() {
        assert!(fs::read(&copy).unwrap() == bytes, "the copy differs");
    }
    // The client reads nothing until the file has shrunk, and its socket cannot hold the file.
    fs::write(&path, vec![0; 64 << 20]).unwrap();
    let mut client = server.connect();
    client.send("GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut received = vec![0];
    client.0.read_exact(&mut received).unwrap();
    fs::write(&path, "short").unwrap();
    let _ = client.0.read_to_end(&mut received); // a reset is an error, an early end is none
    // The file may have shrunk before the first byte of it was sent.
    let head = String::from_utf8_lossy(&received[..received.len().min(300)]);
    assert!(head.contains("Content-Length: 67108864\r\n"), "{head}");
    assert!(received.len() < 64 << 20, "all bytes of a file that had lost them");
    assert_eq!(get(&server, "large.bin", "").1, "short");
}

#[test]
fn a_client_that_does_not_read_a_file_is_cut_off() {
    let directory = Directory::new("unread");
    let path = directory.0.join("public/large.bin");
    fs::File::create(path).unwrap().set_len(64 << 20).unwrap();
    let config = Config { write_timeout: Duration::from_millis(100), ..Config::default() };
    let public = directory.0.join("public");
    let server = LocalServer::start_handler(config, || {
        Application::new().route("/files/{*path}", StaticFiles::new(public).unwrap())
    });
    let mut client = server.connect();
    client.send("GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    // Waits for the reset without reading a byte.
    let fds = &mut [PollFd::new(&client.0, PollFlags::empty())];
    let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
    assert_eq!(poll(fds, Some(&limit)).unwrap(), 1, "the server still waits");
    assert!(fds[0].revents().contains(PollFlags::ERR | PollFlags::HUP));
}
