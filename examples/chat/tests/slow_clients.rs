//! Clients that do not read.

mod support;

use squall_chat::Limits;
use squall_net::block_on;
use support::{Server, within};

// I6
#[test]
fn a_reader_that_never_reads_is_cut_off_while_the_others_go_on() {
    const LIMIT: usize = 64 << 10;
    const TEXT: usize = 4_000;
    block_on(async {
        let limits = Limits {
            queued_bytes: LIMIT,
            message_burst: 1_000_000,
            recent_bytes: 64 << 10,
            ..Limits::default()
        };
        let server = Server::start(limits);
        let (mut ada, mut eve) = (server.enter("Ada").await, server.enter("Eve").await);
        let mut deaf = server.enter("Deaf").await;
        let text = "x".repeat(TEXT);
        let mut sent = 0;
        while server.chat.status().cut_off == 0 {
            // The kernel's buffers take some megabytes before the queue begins to fill.
            assert!(sent < 10_000, "the reader is never cut off");
            ada.say(&sent.to_string(), &text).await;
            ada.texts(1).await;
            eve.texts(1).await;
            sent += 1;
        }
        let status = server.chat.status();
        assert_eq!((status.cut_off, status.queued_bytes), (1, 0));
        // One queue was full, and the two others never had more than some messages.
        assert!(status.most_queued_bytes <= LIMIT + 4 * (TEXT + 200), "{status:?}");
        assert_eq!(eve.until("left").await["tag"], deaf.welcome["tag"]);
        ada.say("last", "last").await;
        assert_eq!(eve.texts(1).await, ["last"]);
        within("the end of the one who was cut off", async {
            while deaf.try_next().await.is_some() {}
        })
        .await;
        assert_eq!(server.chat.status().clients, 2);
    });
}
