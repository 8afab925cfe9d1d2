//! Listeners, connections, datagrams and names.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use squall_net::{TcpListener, TcpStream, UdpSocket, UnixStream, lookup, pipe};

use super::{Operation, in_task};
use crate::limit::Limit::{Allocations, Atomics, Calls};
use crate::meter::Meter;

pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("`TcpListener::bind` and drop", bind),
    Operation::new("`TcpListener::accept` of a connection that waits, and drop", accept)
        .at_most(&[Allocations(0.0), Atomics(0.0), Calls(2.0)]),
    Operation::new("`TcpStream::connect` to an address, and drop", connect),
    Operation::new("`TcpStream::connect` to `\"127.0.0.1:port\"`, and drop", connect_text),
    Operation::new("`lookup` of a numeric address", lookup_numeric).at_most(&[Calls(0.0)]),
    Operation::new("`UnixStream::pair` and drop", unix_pair).at_most(&[Allocations(0.0)]),
    Operation::new("`pipe` and drop", pipe_and_drop).at_most(&[Allocations(0.0)]),
    Operation::new("`UdpSocket::send_to` of 64 bytes", send_to).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
    Operation::new("`UdpSocket::recv_from` of 64 bytes that have come", recv_from).at_most(&[
        Allocations(0.0),
        Atomics(0.0),
        Calls(1.0),
    ]),
];

pub(super) const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

fn bind(meter: Meter) {
    in_task(async move { meter.measure(|| TcpListener::bind(ANY_PORT).expect("a port is free")) });
}

fn accept(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            let listener = TcpListener::bind(ANY_PORT).expect("a port is free");
            let address = listener.local_addr().expect("it is bound");
            let clients: Vec<_> =
                (0..run.count).map(|_| std::net::TcpStream::connect(address)).collect();
            assert!(clients.iter().all(Result::is_ok));
            run.begin();
            for _ in 0..run.count {
                drop(listener.accept().await.expect("a connection waits"));
            }
            run.end();
        }
    });
}

fn connect(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            let listener = TcpListener::bind(ANY_PORT).expect("a port is free");
            let address = listener.local_addr().expect("it is bound");
            run.begin();
            for _ in 0..run.count {
                drop(TcpStream::connect(address).await.expect("it listens"));
            }
            run.end();
        }
    });
}

fn connect_text(meter: Meter) {
    in_task(async move {
        for run in meter.runs() {
            let listener = TcpListener::bind(ANY_PORT).expect("a port is free");
            let address = listener.local_addr().expect("it is bound").to_string();
            run.begin();
            for _ in 0..run.count {
                drop(TcpStream::connect(address.as_str()).await.expect("it listens"));
            }
            run.end();
        }
    });
}

fn lookup_numeric(meter: Meter) {
    in_task(meter.measure_async(async || lookup("127.0.0.1:80").await));
}

fn unix_pair(meter: Meter) {
    in_task(async move { meter.measure(|| UnixStream::pair().expect("descriptors are free")) });
}

fn pipe_and_drop(meter: Meter) {
    in_task(async move { meter.measure(|| pipe().expect("descriptors are free")) });
}

fn send_to(meter: Meter) {
    in_task(async move {
        let socket = UdpSocket::bind(ANY_PORT).expect("a port is free");
        let receiver = std::net::UdpSocket::bind(ANY_PORT).expect("a port is free");
        let address = receiver.local_addr().expect("it is bound");
        // What the full receiver cannot take is lost, which costs the sender the same.
        meter.measure_async(async || socket.send_to(&[7; 64], address).await).await;
    });
}

fn recv_from(meter: Meter) {
    let sender = || std::net::UdpSocket::bind(ANY_PORT).expect("a port is free");
    for run in meter.frame() {
        let (sender, receiver) = (sender(), sender());
        let address = receiver.local_addr().expect("it is bound");
        run.begin();
        for _ in 0..run.count {
            sender.send_to(&[7; 64], address).expect("it is bound");
        }
        run.end();
    }
    in_task(async move {
        let sender = sender();
        let socket = UdpSocket::bind(ANY_PORT).expect("a port is free");
        let address = socket.local_addr().expect("it is bound");
        let receive = async || {
            sender.send_to(&[7; 64], address).expect("it is bound");
            socket.recv_from(&mut [0; 64]).await
        };
        meter.measure_async(receive).await;
    });
}
