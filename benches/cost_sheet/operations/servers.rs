//! `TcpServer`, with all that a connection or a request costs it. The clients are sockets of std's
//! on the same thread; what they do is not a part of the cost.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use squall_net::{IoStream, TcpServer, sleep};

use super::sockets::ANY_PORT;
use super::streams::REQUEST;
use super::{Operation, in_task};
use crate::limit::Limit::{Calls, Instructions};
use crate::meter::Meter;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("A connection whose request has come: `read_bytes`, `write`, `shutdown`", once)
        .at_most(&[Calls(5.0)]),
    Operation::new(
        "A connection whose request has come: `read_some`, `write_all`, end of the handler",
        once_all,
    )
    .at_most(&[Calls(5.0)]),
    Operation::new(
        "A request of 60 at a time, beside the turns: `fill`, `write_all` of the buffer, `consume`",
        echo,
    )
    .at_most(&[Calls(2.0), Instructions(300.0)]),
    Operation::new(
        "A request of 60 at a time, beside the turns: `read_until`, `write` of the line",
        echo_line,
    )
    .at_most(&[Calls(2.0)]),
];

/// The clients of a server. The counts of the runs are multiples of it.
const CLIENTS: usize = 60;

fn listen(server: &TcpServer) -> SocketAddr {
    server.listen(ANY_PORT).expect("a port is free")
}

/// A client that has sent its request.
fn client(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("it listens");
    client.write_all(&REQUEST).expect("there is room");
    client
}

fn once(meter: Meter) {
    serve_connections(meter, || {
        TcpServer::new(async |mut stream: IoStream, _| {
            let request = stream.read_bytes(REQUEST.len()).await?;
            stream.write(request)?;
            Ok(stream.shutdown().await?)
        })
    });
}

fn once_all(meter: Meter) {
    serve_connections(meter, || {
        TcpServer::new(async |mut stream: IoStream, _| {
            let request = stream.read_some(4096).await?;
            Ok(stream.write_all(&request).await?)
        })
    });
}

fn serve_connections(meter: Meter, server: impl Fn() -> TcpServer + 'static) {
    in_task(async move {
        for run in meter.runs() {
            let server = server();
            let address = listen(&server);
            let clients: Vec<_> = (0..run.count).map(|_| client(address)).collect();
            let all = u64::try_from(run.count).expect("64 bits");
            run.begin();
            while server.accepted() < all || server.connections() > 0 {
                two_turns().await;
            }
            run.end();
            for mut client in clients {
                client.read_exact(&mut [0; 64]).expect("the answer");
            }
            server.stop();
        }
    });
}

fn echo(meter: Meter) {
    serve_requests(meter, || {
        TcpServer::new(async |mut stream: IoStream, _| {
            let (reader, writer) = stream.halves();
            while reader.fill().await? > 0 {
                writer.write_all(reader.buffer()).await?;
                reader.consume(reader.buffer().len());
            }
            Ok(())
        })
    });
}

fn echo_line(meter: Meter) {
    serve_requests(meter, || {
        TcpServer::new(async |mut stream: IoStream, _| {
            loop {
                let line = stream.read_until(b"\n").await?;
                stream.write(line)?;
            }
        })
    });
}

/// The frame has the clients' work and the turns, which the requests share.
fn serve_requests(meter: Meter, server: impl Fn() -> TcpServer + 'static) {
    in_task(async move {
        let server = server();
        let address = listen(&server);
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| client(address)).collect();
        while server.accepted() < CLIENTS as u64 {
            two_turns().await;
        }
        two_turns().await; // reads and answers
        receive(&mut clients);
        for run in meter.frame() {
            let (mut clients, _servers) = answered_clients(run.count / CLIENTS);
            run.begin();
            for _ in 0..run.count / CLIENTS {
                send(&mut clients);
                two_turns().await;
                receive(&mut clients);
            }
            run.end();
        }
        for run in meter.runs() {
            run.begin();
            for _ in 0..run.count / CLIENTS {
                send(&mut clients);
                two_turns().await; // the first finds what is ready, and the second serves it
                receive(&mut clients);
            }
            run.end();
        }
        server.stop();
    });
}

/// A sleep never ends in the turn in which it began.
async fn two_turns() {
    sleep(Duration::ZERO).await;
}

fn send(clients: &mut [TcpStream]) {
    clients.iter_mut().for_each(|client| client.write_all(&REQUEST).expect("there is room"));
}

fn receive(clients: &mut [TcpStream]) {
    clients.iter_mut().for_each(|client| client.read_exact(&mut [0; 64]).expect("an answer"));
}

/// Clients for which that many answers have come, and the other ends of their connections.
fn answered_clients(answers: usize) -> (Vec<TcpStream>, Vec<TcpStream>) {
    let listener = TcpListener::bind(ANY_PORT).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let connect = |_| {
        let client = client(address);
        let (mut server, _) = listener.accept().expect("the client has connected");
        server.write_all(&REQUEST.repeat(answers)).expect("there is room");
        (client, server)
    };
    (0..CLIENTS).map(connect).unzip()
}
