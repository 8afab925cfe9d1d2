//! Frames that break the rules of RFC 6455 end that client, with the right code, and no other.

mod support;

use std::time::Duration;

use squall_chat::Limits;
use squall_net::{IoStream, block_on, sleep};
use support::{Server, raw, within};

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;

/// A frame with a mask of zeros, so that the payload is as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(MASKED | u8::try_from(length).unwrap()),
        length => {
            frame.push(MASKED | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Reads frames up to the close frame. Returns its code and reason, after which the server ends the
/// stream.
async fn close_frame(stream: &mut IoStream) -> (u16, String) {
    loop {
        let head = within("a frame", stream.read_bytes(2)).await.unwrap();
        let length = match head[1] {
            126 => {
                let length = stream.read_bytes(2).await.unwrap();
                usize::from(u16::from_be_bytes([length[0], length[1]]))
            }
            length => usize::from(length),
        };
        let payload = within("a payload", stream.read_bytes(length)).await.unwrap();
        if head[0] & 0x0f == CLOSE {
            let rest = within("the end of the stream", stream.read_until_close()).await.unwrap();
            assert!(rest.is_empty(), "{rest:?}");
            let reason = String::from_utf8(payload[2..].to_vec()).unwrap();
            return (u16::from_be_bytes([payload[0], payload[1]]), reason);
        }
    }
}

#[test]
fn a_frame_that_breaks_the_rules_ends_its_client_with_the_right_code() {
    let limits = Limits { frame_bytes: 1_000, ..Limits::default() };
    let fragment = frame(TEXT, &[b'a'; 600]);
    let rest = frame(FINAL, &[b'a'; 600]);
    let cases: [(&str, Vec<u8>, u16); 16] = [
        ("not masked", vec![FINAL | TEXT, 2, b'{', b'}'], 1002),
        ("a reserved bit", frame(FINAL | 0x40 | TEXT, b"{}"), 1002),
        ("an unknown kind of data", frame(FINAL | 3, b""), 1002),
        ("an unknown kind of control", frame(FINAL | 11, b""), 1002),
        ("a control frame in fragments", frame(PING, b""), 1002),
        ("a control frame that is too long", frame(FINAL | PING, &[0; 126]), 1002),
        ("a continuation of nothing", frame(FINAL, b""), 1002),
        ("a second beginning", [frame(TEXT, b"{"), frame(FINAL | TEXT, b"}")].concat(), 1002),
        ("a close of one byte", frame(FINAL | CLOSE, b"\x03"), 1002),
        ("a close with a forbidden code", frame(FINAL | CLOSE, b"\x03\xed"), 1002),
        ("too large", frame(FINAL | TEXT, &[b'a'; 1_001]), 1009),
        (
            "announced too large",
            [&[FINAL | TEXT, MASKED | 127, 0, 0, 1][..], &[0; 9]].concat(),
            1009,
        ),
        ("too large in fragments", [fragment, rest].concat(), 1009),
        ("not UTF-8", frame(FINAL | TEXT, b"\xff"), 1007),
        ("half of a character", [frame(TEXT, b"\xc3"), frame(FINAL, b"")].concat(), 1007),
        ("bytes and no text", frame(FINAL | 2, b"{}"), 1003),
    ];
    block_on(async {
        let server = Server::start(limits);
        let mut ada = server.enter("Ada").await;
        for (what, bytes, wanted) in cases {
            let mut stream = raw(server.address).await;
            stream.write(bytes).unwrap();
            assert_eq!(close_frame(&mut stream).await.0, wanted, "{what}");
        }
        ada.say("1", "still here").await;
        assert_eq!(ada.texts(1).await, ["still here"]);
    });
}

#[test]
fn a_flood_of_pings_ends_its_client() {
    block_on(async {
        let server = Server::start(Limits::default());
        let mut ada = server.enter("Ada").await;
        let mut stream = raw(server.address).await;
        // As many as are allowed are answered.
        let ping = frame(FINAL | PING, b"p");
        stream.write(ping.repeat(20)).unwrap();
        let pong = within("a pong", stream.read_bytes(3)).await.unwrap();
        assert_eq!(*pong, [FINAL | 10, 1, b'p']);
        stream.write(ping.repeat(100)).unwrap();
        assert_eq!(close_frame(&mut stream).await, (1008, "too many pings".to_owned()));
        ada.say("1", "still here").await;
        assert_eq!(ada.texts(1).await, ["still here"]);
    });
}

#[test]
fn a_flood_of_pings_ends_a_client_that_does_not_read_the_answers() {
    block_on(async {
        let patient = Duration::from_secs(3_600);
        let server = Server::start(Limits { hello_timeout: patient, ..Limits::default() });
        let mut stream = raw(server.address).await;
        let ping = frame(FINAL | PING, &[0; 125]);
        // The connection is closed while this is sent, or after it.
        let _ = within("the flood", stream.write_all(&ping.repeat(20_000))).await;
        within("the end", async {
            while server.chat.status().clients > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    });
}

#[test]
fn a_message_may_come_byte_by_byte_and_in_fragments() {
    block_on(async {
        let server = Server::start(Limits::default());
        let mut ada = server.enter("Ada").await;
        let mut stream = raw(server.address).await;
        let hello = br#"{"type":"hello","name":"Eve","token":"0123456789abcdef"}"#;
        let message = r#"{"type":"message","id":"1","text":"grüße"}"#.as_bytes();
        let (start, rest) = message.split_at(message.len() - 6); // within a character
        let frames = [
            frame(FINAL | TEXT, hello),
            frame(TEXT, start),
            frame(FINAL | PING, b""),
            frame(FINAL, rest),
        ];
        for byte in frames.concat() {
            within("a byte", stream.write_all(&[byte])).await.unwrap();
        }
        assert_eq!(ada.texts(1).await, ["grüße"]);
    });
}
