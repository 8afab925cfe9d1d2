//! Connects: errors of a lookup, a socket that reaches itself, and options.
//!
//! No test here starts a child, which would inherit sockets until its `exec`.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use squall_net::{
    ConnectError, ConnectOptions, OverrideResolver, Resolver, Resolving, TcpListener, TcpStream,
    block_on, timeout,
};

const WATCHDOG: Duration = Duration::from_secs(10);

fn run<F: Future<Output = ()>>(test: F) {
    block_on(async { timeout(WATCHDOG, test).await.expect("the test hangs") });
}

/// Resolves every name to the given outcome, and never if it is `None`.
struct Fixed(Option<Result<Vec<SocketAddr>, io::ErrorKind>>);

impl Resolver for Fixed {
    fn resolve(&self, _host: &str, _port: u16) -> Resolving {
        match self.0.clone() {
            Some(outcome) => {
                Box::pin(async { outcome.map_err(|kind| io::Error::new(kind, "ours")) })
            }
            None => Box::pin(std::future::pending()),
        }
    }
}

fn connect_error(error: &io::Error) -> &ConnectError {
    error.get_ref().and_then(|error| error.downcast_ref()).expect("a ConnectError")
}

#[test]
fn the_error_of_a_resolver_keeps_its_kind_and_is_the_source() {
    run(async {
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::TimedOut] {
            let options = ConnectOptions::default().resolver(Fixed(Some(Err(kind))));
            let error = TcpStream::connect_with("name:1", options).await.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert_eq!(error.to_string(), "cannot connect to name:1: ours");
            let error = connect_error(&error);
            assert!(error.is_lookup() && error.attempts().is_empty());
            let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
            assert_eq!(source.kind(), kind);
        }
        let options = ConnectOptions::default().resolver(Fixed(Some(Ok(Vec::new()))));
        let error = TcpStream::connect_with("name:1", options).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(connect_error(&error).is_lookup());
    });
}

#[test]
fn an_override_applies_to_every_spelling_of_its_host() {
    run(async {
        let resolver = OverrideResolver::new(Fixed(Some(Err(io::ErrorKind::AddrNotAvailable))))
            .host("Db.Internal", [[10, 0, 0, 1].into()])
            .host_and_port("cache.internal.", 1, [([10, 0, 0, 2], 9).into()]);
        for host in ["db.internal", "DB.INTERNAL", "db.internal.", "Db.Internal."] {
            assert_eq!(resolver.resolve(host, 7).await.unwrap(), [([10, 0, 0, 1], 7).into()]);
        }
        for host in ["cache.internal", "CACHE.internal."] {
            assert_eq!(resolver.resolve(host, 1).await.unwrap(), [([10, 0, 0, 2], 9).into()]);
        }
        for other in ["db.internal..", ".db.internal", "internal"] {
            let error = resolver.resolve(other, 7).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable, "{other}");
        }
    });
}

#[test]
fn a_deadline_that_passes_during_the_lookup_is_a_lookup_error() {
    run(async {
        let options = ConnectOptions::default().deadline(Duration::from_millis(1));
        let error = TcpStream::connect_with("name:1", options.resolver(Fixed(None))).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(connect_error(&error).is_lookup());

        let refused = unused_address([127, 78, 0, 1]);
        let twice = [refused, SocketAddr::from(([127, 78, 0, 2], refused.port()))];
        let options = ConnectOptions::default().resolver(Fixed(Some(Ok(twice.to_vec()))));
        let error = TcpStream::connect_with("name:1", options).await.unwrap_err();
        assert!(!connect_error(&error).is_lookup());

        let options = ConnectOptions::default().source([127, 0, 0, 1]);
        let error = TcpStream::connect_with("[::1]:1", options).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound, "no address of the source's family");
        assert!(!connect_error(&error).is_lookup(), "an address needs no lookup");
    });
}

/// A port on which no socket listens, at an address that no other test uses.
fn unused_address(ip: [u8; 4]) -> SocketAddr {
    std::net::TcpListener::bind(SocketAddr::from((ip, 0))).unwrap().local_addr().unwrap()
}

// TCP's simultaneous open: a socket that connects from the port that it connects to reaches itself.
#[test]
fn a_connection_of_a_socket_to_itself_is_refused() {
    run(async {
        let address = unused_address([127, 77, 0, 1]);
        let options = ConnectOptions::default().source_address(address);
        for _ in 0..3 {
            let error = TcpStream::connect_with(address, options.clone()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let text = format!("the socket connected to itself: nothing listens on {address}");
            assert_eq!(error.to_string(), text);
        }

        let listener = TcpListener::bind("127.77.0.2:0").unwrap();
        let both = vec![address, listener.local_addr().unwrap()];
        let options = options.resolver(Fixed(Some(Ok(both.clone()))));
        let stream = TcpStream::connect_with("name:1", options).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), both[1], "the next address is tried");
        assert_eq!(stream.local_addr().unwrap(), address);
    });
}

// Nagle's algorithm at either end would delay the second of two small writes.
#[test]
fn nodelay_is_set_at_both_ends_and_stays_as_it_is_on_a_socket_of_std() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let named = ConnectOptions::default().resolver(Fixed(Some(Ok(vec![address]))));
        let ends = [
            TcpStream::connect(address).await.unwrap(),
            listener.accept().await.unwrap().0,
            TcpStream::connect_with("name:1", named).await.unwrap(),
            TcpStream::connect(("localhost", address.port())).await.unwrap(),
        ];
        for end in ends {
            assert!(end.into_std().nodelay().unwrap());
        }
        let stream = std::net::TcpStream::connect(address).unwrap();
        let stream = TcpStream::from_std(stream).unwrap();
        stream.set_nodelay(false).unwrap();
        assert!(!stream.into_std().nodelay().unwrap());
    });
}
