//! redis, on squall's own socket and through async-compat.

use std::net::SocketAddr;
use std::time::Duration;

use async_compat::Compat;
use futures_util::future::join_all;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisConnectionInfo, pipe};
use squall_net::{TcpStream, spawn, stats, timeout};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use crate::local_server::redis;
use crate::support::run;

/// Connects over a socket of squall, without tokio's runtime.
///
/// redis asks for a transport that is `Send`, so it gets one end of a pair in memory, and a task copies
/// between the other end and the socket. Its own time limits need tokio's timers.
async fn connect(address: SocketAddr) -> MultiplexedConnection {
    let mut socket = TcpStream::connect(address).await.unwrap().compat();
    let (transport, mut end) = tokio::io::duplex(64 << 10);
    spawn(async move { tokio::io::copy_bidirectional(&mut end, &mut socket).await });
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let info = RedisConnectionInfo::default();
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&info, transport, config).await.unwrap();
    spawn(driver);
    connection
}

async fn exercise(mut connection: MultiplexedConnection, prefix: &str) {
    let key = |name: &str| format!("{prefix}:{name}");
    let () = connection.set(key("name"), "squall").await.unwrap();
    assert_eq!(connection.get::<_, String>(key("name")).await.unwrap(), "squall");

    let count =
        async |_: usize| connection.clone().incr::<_, _, usize>(key("count"), 1).await.unwrap();
    let mut counted = join_all((0..100).map(count)).await;
    counted.sort_unstable();
    assert_eq!(counted, (1..=100).collect::<Vec<_>>());

    let large = vec![7_u8; 5 << 20];
    let mut pipeline = pipe();
    pipeline.atomic().set(key("large"), &large).ignore().get(key("large")).del(key("large"));
    let (read, deleted): (Vec<u8>, usize) = pipeline.query_async(&mut connection).await.unwrap();
    assert!(read == large);
    assert_eq!(deleted, 1);

    let error = connection.lpush::<_, _, ()>(key("name"), 1).await.unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
}

#[test]
fn commands_of_many_tasks_share_a_socket_of_squall() {
    let Some(server) = redis() else { return };
    run(async {
        exercise(connect(server.address).await, "squall").await;
        assert_eq!(stats().messages, 0, "no other thread takes part");
    });
}

#[test]
fn commands_run_through_async_compat() {
    let Some(server) = redis() else { return };
    run(Compat::new(async {
        let client = Client::open(format!("redis://{}", server.address)).unwrap();
        exercise(client.get_multiplexed_async_connection().await.unwrap(), "compat").await;
    }));
}

#[test]
fn a_blocking_command_waits_without_holding_the_loop() {
    let Some(server) = redis() else { return };
    run(async {
        let mut waiting = connect(server.address).await;
        let popped = spawn(async move {
            let (_, value): (String, String) = waiting.blpop("squall:queue", 0.0).await.unwrap();
            value
        });
        let mut pushing = connect(server.address).await;
        let () = pushing.rpush("squall:queue", "hello").await.unwrap();
        assert_eq!(popped.await.unwrap(), "hello");
    });
}

#[test]
fn a_time_limit_of_squall_replaces_that_of_redis() {
    let Some(server) = redis() else { return };
    run(async {
        let mut connection = connect(server.address).await;
        let never = connection.blpop::<_, ()>("squall:nothing", 0.0);
        assert!(timeout(Duration::from_millis(10), never).await.is_err());
    });
}
