//! What the people in a room see, in one process.

mod support;

use async_tungstenite::tungstenite::Error;
use async_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use serde_json::{Value, json};
use squall_chat::Limits;
use squall_net::{IoStream, TcpStream, block_on, spawn};
use support::process::ChatProcess;
use support::{Guest, Server, get, request, token, within};

/// No limit on how often a client sends.
fn unhurried() -> Limits {
    Limits { message_burst: 1_000_000, ..Limits::default() }
}

#[test]
fn everyone_gets_the_messages_of_all_in_one_order() {
    const CLIENTS: usize = 10;
    const EACH: usize = 50;
    block_on(async {
        let server = Server::start(unhurried());
        let mut guests = Vec::new();
        for number in 0..CLIENTS {
            guests.push(server.enter(&format!("guest {number}")).await);
        }
        let talking = guests.into_iter().enumerate().map(|(number, mut guest)| {
            spawn(async move {
                for round in 0..EACH {
                    guest.say(&format!("{number}-{round}"), &format!("{number} {round}")).await;
                }
                guest.texts(CLIENTS * EACH).await
            })
        });
        let talking: Vec<_> = talking.collect();
        let mut orders = Vec::new();
        for guest in talking {
            orders.push(within("a guest", guest).await.unwrap());
        }
        for order in &orders {
            assert_eq!(order, &orders[0]);
        }
        for number in 0..CLIENTS {
            let prefix = format!("{number} ");
            let own: Vec<_> = orders[0].iter().filter(|it| it.starts_with(&prefix)).collect();
            let wanted: Vec<_> = (0..EACH).map(|round| format!("{prefix}{round}")).collect();
            assert!(own.into_iter().eq(&wanted), "those of {number} are out of order");
        }
    });
}

#[test]
fn two_hundred_clients_hear_each_other() {
    const CLIENTS: usize = 200;
    block_on(async {
        let server = Server::start(Limits::default());
        let mut guests = Vec::new();
        for number in 0..CLIENTS {
            guests.push(server.enter(&format!("guest {number}")).await);
        }
        assert_eq!(server.chat.status().clients, CLIENTS);
        for (number, guest) in guests.iter_mut().enumerate() {
            guest.say("1", &format!("{number}")).await;
        }
        let mut wanted: Option<Vec<String>> = None;
        for guest in &mut guests {
            let texts = guest.texts(CLIENTS).await;
            assert_eq!(&texts, wanted.get_or_insert_with(|| texts.clone()));
        }
        drop(guests);
        within("the end of all", async {
            while server.chat.status().clients > 0 {
                squall_net::sleep(std::time::Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!(server.chat.status().queued_bytes, 0);
    });
}

#[test]
fn a_new_client_gets_the_last_fifty_and_one_that_returns_what_it_missed() {
    block_on(async {
        let server = Server::start(unhurried());
        let mut ada = server.enter("Ada").await;
        for number in 0..60 {
            ada.say(&format!("{number}"), &format!("{number}")).await;
        }
        ada.texts(60).await;
        let mut eve = server.enter("Eve").await;
        assert_eq!(
            (&eve.welcome["messages"], &eve.welcome["has_older"]),
            (&json!(50), &json!(true))
        );
        assert_eq!(eve.welcome["continues"], false);
        let texts = eve.texts(50).await;
        assert_eq!((&*texts[0], &*texts[49]), ("10", "59"));

        let history = eve.welcome["history"].as_str().unwrap().to_owned();
        drop(eve);
        ada.say("60", "60").await;
        ada.texts(1).await;
        let mut eve = Guest::connect(server.address, "lobby").await;
        eve.hello("Eve", Some((&history, 58))).await;
        assert_eq!(
            (&eve.welcome["continues"], &eve.welcome["messages"]),
            (&json!(true), &json!(3))
        );
        assert_eq!(eve.texts(3).await, ["58", "59", "60"]);

        // The numbers of another history mean nothing here.
        let mut bob = Guest::connect(server.address, "lobby").await;
        bob.hello("Bob", Some(("another", 58))).await;
        assert_eq!(bob.welcome["continues"], false);
        assert_eq!(bob.texts(50).await[49], "60");
    });
}

#[test]
fn a_message_that_comes_again_is_acknowledged_and_not_repeated() {
    block_on(async {
        let server = Server::start(Limits::default());
        let (mut ada, mut eve) = (server.enter("Ada").await, server.enter("Eve").await);
        ada.say("same", "once").await;
        assert_eq!(ada.until("ack").await["id"], "same");
        // From another connection of the same person, as after a reconnect.
        let mut again = server.enter("Ada").await;
        again.say("same", "once").await;
        assert_eq!(again.until("ack").await["id"], "same");
        // An id belongs to its person.
        eve.say("same", "of Eve").await;
        eve.until("ack").await;
        ada.say("end", "end").await;
        let mut late = server.enter("Late").await;
        assert_eq!(late.texts(3).await, ["once", "of Eve", "end"]);
    });
}

fn names(people: &Value) -> Vec<&str> {
    let mut names: Vec<_> =
        people.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_person_with_two_windows_is_here_once() {
    block_on(async {
        let server = Server::start(Limits::default());
        let mut eve = server.enter("Eve").await;
        assert_eq!(names(&eve.welcome["people"]), ["Eve"]);
        let first = server.enter("Ada").await;
        let joined = eve.until("joined").await;
        assert_eq!(joined["name"], "Ada");
        let second = server.enter("Ada").await;
        assert_eq!(names(&second.welcome["people"]), ["Ada", "Eve"]);
        drop(first);
        let mut other = Guest::connect(server.address, "garden").await;
        other.hello("Bob", None).await;
        assert_eq!(names(&other.welcome["people"]), ["Bob"]);
        // Neither the second window nor the end of the first was told: this is the next.
        let mut third = server.enter("Carl").await;
        assert_eq!(eve.next().await["name"], "Carl");
        drop(second);
        assert_eq!(eve.next().await, json!({ "type": "left", "tag": joined["tag"] }));
        assert_eq!(third.until("left").await["tag"], joined["tag"]);
    });
}

#[test]
fn rooms_do_not_hear_each_other() {
    block_on(async {
        let server = Server::start(Limits::default());
        let mut ada = server.enter("Ada").await;
        let mut eve = Guest::connect(server.address, "garden").await;
        eve.hello("Eve", None).await;
        ada.say("1", "in the lobby").await;
        ada.until("ack").await;
        eve.say("1", "in the garden").await;
        assert_eq!(eve.texts(1).await, ["in the garden"]);
    });
}

#[test]
fn a_bad_text_is_refused_and_a_bad_name_ends_the_connection() {
    block_on(async {
        let server = Server::start(Limits { text_bytes: 8, ..Limits::default() });
        let mut ada = server.enter("Ada").await;
        for (id, text) in [("1", " \n "), ("2", "123456789"), ("3", "a\0b")] {
            ada.say(id, text).await;
            assert_eq!(ada.until("refused").await["id"], id);
        }
        ada.say("4", "12345678").await;
        assert_eq!(ada.until("ack").await["id"], "4");
        for bad in ["", "a name that is far too long", "a\u{202e}b", "a\tb"] {
            let mut guest = Guest::connect(server.address, "lobby").await;
            let hello = json!({ "type": "hello", "name": bad, "token": token("x") });
            guest.send(&hello).await.unwrap();
            let code = guest.close_code().await;
            assert_eq!(code, CloseCode::Policy, "{bad:?}");
        }
    });
}

#[test]
fn what_is_not_of_the_protocol_ends_that_client_only() {
    block_on(async {
        let server = Server::start(Limits::default());
        let mut ada = server.enter("Ada").await;
        for text in ["{", "[]", "\"\"", r#"{"type":"leave"}"#, r#"{"type":"message","id":"1"}"#] {
            let mut guest = server.enter("Eve").await;
            guest.socket.send(text.into()).await.unwrap();
            assert_eq!(guest.close_code().await, CloseCode::Policy, "{text}");
        }
        let mut early = Guest::connect(server.address, "lobby").await;
        early.say("1", "before the hello").await;
        assert_eq!(early.close_code().await, CloseCode::Policy);
        let mut twice = server.enter("Eve").await;
        twice.send_hello("Eve", None).await.unwrap();
        assert_eq!(twice.close_code().await, CloseCode::Policy);
        let mut bad_id = server.enter("Eve").await;
        bad_id.say("a b", "text").await;
        assert_eq!(bad_id.close_code().await, CloseCode::Policy);
        ada.say("1", "still here").await;
        assert_eq!(ada.texts(1).await, ["still here"]);
    });
}

#[test]
fn a_full_room_and_a_full_server_refuse_another_client() {
    block_on(async {
        let limits = Limits { room_clients: 1, rooms: 1, clients: 3, ..Limits::default() };
        let server = Server::start(limits);
        let _ada = server.enter("Ada").await;
        for room in ["lobby", "garden"] {
            let mut guest = Guest::connect(server.address, room).await;
            guest.send_hello("Eve", None).await.unwrap();
            assert_eq!(guest.close_code().await, CloseCode::Again, "{room}");
        }
        let _second = Guest::connect(server.address, "lobby").await;
        let _third = Guest::connect(server.address, "lobby").await;
        let fourth = Guest::try_connect(server.address, "lobby").await;
        let Err(Error::Http(response)) = fourth.map(drop) else { panic!("it is not refused") };
        assert_eq!(response.status(), 503);
    });
}

#[test]
fn only_pages_of_this_site_open_a_websocket() {
    block_on(async {
        let server = Server::start(Limits::default());
        let address = server.address;
        let port = address.port();
        for (origin, is_own) in [
            (format!("http://{address}"), true),
            (format!("https://{address}"), true),
            ("http://evil.example".to_owned(), false),
            (format!("http://127.0.0.1.evil.example:{port}"), false),
            ("http://127.0.0.1".to_owned(), false),
            (format!("ftp://{address}"), false),
            ("null".to_owned(), false),
            (String::new(), false),
        ] {
            let mut request = request(address, "lobby");
            request.headers_mut().insert("origin", origin.parse().unwrap());
            let stream = TcpStream::connect(address).await.unwrap();
            match within("a handshake", async_tungstenite::client_async(request, stream)).await {
                Ok(_) => assert!(is_own, "{origin}"),
                Err(Error::Http(response)) => {
                    assert!(!is_own && response.status() == 403, "{origin}: {response:?}");
                }
                Err(error) => panic!("{origin}: {error}"),
            }
        }
    });
}

#[test]
fn a_handshake_is_a_get_whose_fields_are_not_repeated() {
    let version = "Sec-WebSocket-Version: 13\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let origin = "Origin: http://x\r\n";
    block_on(async {
        let server = Server::start(Limits::default());
        for (method, repeated, status) in [
            ("GET", "", 101),
            ("HEAD", "", 426),
            ("GET", version, 400),
            ("GET", key, 400),
            ("GET", "Origin: http://evil\r\n", 400),
        ] {
            let mut stream = IoStream::new(TcpStream::connect(server.address).await.unwrap());
            let line = format!("{method} /room/lobby/socket HTTP/1.1\r\n");
            let fields = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
            let own = format!("{version}{key}{origin}{repeated}\r\n");
            stream.write(line + fields + &own).unwrap();
            let head = within("an answer", stream.read_until(b"\r\n\r\n")).await.unwrap();
            let head = String::from_utf8_lossy(&head).into_owned();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status} ")),
                "{method}, {repeated}: {head}"
            );
        }
    });
}

#[test]
fn a_handshake_that_is_not_of_version_13_is_refused() {
    const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    block_on(async {
        let server = Server::start(Limits::default());
        let socket = "/room/lobby/socket";
        for version in ["", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13, 8\r\n"] {
            let (head, _) = get(server.address, socket, &format!("{UPGRADE}{KEY}{version}")).await;
            assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
            assert!(head.contains("\r\nsec-websocket-version: 13"), "{head}");
        }
        let version = "Sec-WebSocket-Version: 13\r\n";
        for key in [
            "",
            "Sec-WebSocket-Key: short==\r\n",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\n\r\n",
        ] {
            let (head, _) = get(server.address, socket, &format!("{UPGRADE}{version}{key}")).await;
            assert!(head.starts_with("HTTP/1.1 400 "), "{key}: {head}");
        }
        // A client that does not ask to upgrade.
        let (head, _) = get(server.address, socket, &format!("{version}{KEY}")).await;
        assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
        for room in ["Lobby", "a%20b", "..", "a_b"] {
            let fields = format!("{UPGRADE}{version}{KEY}");
            let (head, _) = get(server.address, &format!("/room/{room}/socket"), &fields).await;
            assert!(head.starts_with("HTTP/1.1 404 "), "{room}: {head}");
        }
    });
}

#[test]
fn the_pages_forbid_what_they_do_not_need() {
    block_on(async {
        let server = Server::start(Limits::default());
        let (head, _) = get(server.address, "/", "").await;
        assert!(head.starts_with("HTTP/1.1 303 ") && head.contains("\r\nlocation: /room/lobby"));
        for target in ["/room/lobby", "/chat.js", "/chat.css", "/icon.svg"] {
            let (head, body) = get(server.address, target, "").await;
            assert!(head.starts_with("HTTP/1.1 200 ") && !body.is_empty(), "{target}: {head}");
            for field in [
                "content-security-policy: default-src 'none'; script-src 'self';",
                "x-content-type-options: nosniff",
                "referrer-policy: no-referrer",
            ] {
                assert!(head.contains(field), "{target}: {field}: {head}");
            }
            let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
            let fields = format!("If-None-Match: {tag}\r\n");
            let (head, _) = get(server.address, target, &fields).await;
            assert!(head.starts_with("HTTP/1.1 304 "), "{head}");
        }
        let (head, status) = get(server.address, "/status", "").await;
        assert!(head.contains("application/json"), "{head}");
        let status: Value = serde_json::from_str(&status).unwrap();
        assert_eq!((&status["clients"], &status["is_storing"]), (&json!(0), &json!(true)));
    });
}

#[test]
fn sigterm_tells_the_clients_and_then_ends_the_process() {
    block_on(async {
        let mut server = ChatProcess::start(&[]).await;
        let mut ada = Guest::connect(server.address, "lobby").await;
        ada.hello("Ada", None).await;
        ada.say("1", "before").await;
        ada.until("ack").await;
        let mut silent = Guest::connect(server.address, "lobby").await;
        server.process.signal("TERM");
        assert_eq!(ada.close_code().await, CloseCode::Away);
        assert_eq!(silent.close_code().await, CloseCode::Away);
        drop((ada, silent));
        assert!(server.process.ended().await);
    });
}
