//! Properties of streams: random scripts of writes, reads, dropped reads and limits, beside a byte
//! queue. Each runs in memory, over a socketpair and, with the feature `sim`, over simulated TCP.

mod script;

use std::future::Future;
use std::time::Duration;

use proptest::prelude::*;
use squall_net::{UnixStream, block_on, duplex, timeout};

use script::case;

const WATCHDOG: Duration = Duration::from_secs(20);

async fn watched<F: Future<Output = ()>>(test: F) {
    timeout(WATCHDOG, test).await.expect("the script hangs");
}

/// 512 cases, or as many as `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let is_set = std::env::var_os("PROPTEST_CASES").is_some();
    if is_set { ProptestConfig::default() } else { ProptestConfig::with_cases(512) }
}

#[cfg(feature = "sim")]
async fn tcp() -> (squall_net::TcpStream, squall_net::TcpStream) {
    let listener = squall_net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connecting = squall_net::TcpStream::connect(address);
    let (client, server) = futures_lite::future::zip(connecting, listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

/// Runs a case on simulated hosts, whose network cuts the bytes by `seed`.
#[cfg(feature = "sim")]
fn run_simulated(case: &script::Case, seed: u64) {
    squall_net::sim::Simulation::new(seed).block_on(watched(async {
        let (client, server) = tcp().await;
        case.run(client, server).await;
    }));
}

proptest! {
    #![proptest_config(config())]

    // I7, I8, IOS-19, IOS-23, IOS-28
    #[test]
    fn a_stream_in_memory_reads_as_a_byte_queue_does(case in case(), capacity in 1..60_usize) {
        block_on(watched(async {
            let (writer, reader) = duplex(capacity);
            case.run(writer, reader).await;
        }));
    }

    // I7, I8, IOS-19, IOS-23, IOS-28
    #[test]
    fn a_stream_over_a_socketpair_reads_as_a_byte_queue_does(case in case()) {
        block_on(watched(async {
            let (writer, reader) = UnixStream::pair().unwrap();
            case.run(writer, reader).await;
        }));
    }

    // I7, I8, IOS-19, IOS-23, IOS-28
    #[cfg(feature = "sim")]
    #[test]
    fn a_stream_over_simulated_tcp_reads_as_a_byte_queue_does(case in case(), seed in any::<u64>()) {
        run_simulated(&case, seed);
    }
}
