//! async-tungstenite behind hyper: one port for HTTP and for WebSockets.

use std::cell::Cell;
use std::convert::Infallible;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::handshake::derive_accept_key;
use async_tungstenite::tungstenite::protocol::Role;
use futures_util::StreamExt;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use squall_net::hyper::Io;
use squall_net::{IoStream, TcpServer, TcpStream};

use crate::support::{http1_client, run, whole};

/// The answer to a request, which is the upgrade to a WebSocket if the client asks for it.
fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return Response::new(Full::new("no WebSocket".into()));
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", "upgrade".parse().unwrap());
    headers.insert("upgrade", "websocket".parse().unwrap());
    let accept = derive_accept_key(key.as_bytes());
    headers.insert("sec-websocket-accept", accept.parse().unwrap());
    response
}

/// Serves HTTP until the client asks for a WebSocket, and echoes its messages then.
async fn serve(stream: IoStream) -> hyper::Result<()> {
    let is_upgraded = Cell::new(false);
    let service = service_fn(async |request| {
        let response = answer(&request);
        is_upgraded.set(response.status() == StatusCode::SWITCHING_PROTOCOLS);
        Ok::<_, Infallible>(response)
    });
    let http = hyper::server::conn::http1::Builder::new();
    let parts = http.serve_connection(Io::new(stream), service).without_shutdown().await?;
    if is_upgraded.get() {
        let mut stream = parts.io.into_inner();
        stream.unread(&parts.read_buf);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() || message.is_binary() {
                socket.send(message).await.expect("the client reads");
            }
        }
    }
    Ok(())
}

#[test]
fn one_port_serves_http_and_web_sockets() {
    run(async {
        let server = TcpServer::new(async |stream, _| {
            serve(stream).await.expect("the clients keep to the protocol");
            Ok(())
        });
        let address = server.listen("127.0.0.1:0").unwrap();

        let mut http = http1_client(address).await;
        let request = Request::get("/").header("host", "localhost").body(Full::<Bytes>::default());
        let answer = http.send_request(request.unwrap()).await.unwrap();
        assert_eq!(whole(answer.into_body()).await, "no WebSocket");

        let stream = TcpStream::connect(address).await.unwrap();
        let (mut socket, _) =
            async_tungstenite::client_async("ws://localhost/", stream).await.unwrap();
        for message in [Message::text("hello"), Message::binary(vec![7; 1 << 20])] {
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
}
