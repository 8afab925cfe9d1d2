//! async-tungstenite.

use async_tungstenite::tungstenite::Message;
use futures_util::StreamExt;
use squall_net::spawn;

use crate::support::{pair, run};

#[test]
fn web_sockets_echo_text_and_a_megabyte_and_close() {
    run(async {
        let (client, server) = pair().await;
        let serving = spawn(async move {
            let mut socket = async_tungstenite::accept_async(server).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() || message.is_binary() {
                    socket.send(message).await.unwrap();
                }
            }
        });
        let (mut socket, _) =
            async_tungstenite::client_async("ws://localhost/", client).await.unwrap();
        for message in [Message::text("hello"), Message::binary(vec![7; 1 << 20])] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
        serving.await.unwrap();
    });
}
