//! tokio-postgres over squall's own sockets, without tokio's runtime.

use std::net::SocketAddr;

use futures_util::future::{join_all, poll_fn};
use futures_util::{SinkExt, TryStreamExt, pin_mut};
use hyper::body::Bytes;
use squall_net::{JoinHandle, TcpStream, spawn};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use crate::local_server::postgres;
use crate::support::run;

/// Connects. The connection is a task, which returns its notifications when it ends.
async fn connect(address: SocketAddr) -> (Client, JoinHandle<Vec<String>>) {
    let stream = TcpStream::connect(address).await.unwrap().compat();
    let (client, mut connection) =
        Config::new().user("postgres").connect_raw(stream, NoTls).await.unwrap();
    let connection = spawn(async move {
        let mut notifications = Vec::new();
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let Ok(AsyncMessage::Notification(notification)) = message {
                notifications.push(notification.payload().to_owned());
            }
        }
        notifications
    });
    (client, connection)
}

#[test]
fn queries_of_one_connection_are_pipelined() {
    let Some(server) = postgres() else { return };
    run(async {
        let (client, _connection) = connect(server.address).await;
        let statement = client.prepare("SELECT $1::INT + 1").await.unwrap();
        let ask =
            async |number: i32| client.query_one(&statement, &[&number]).await.unwrap().get(0);
        let answers: Vec<i32> = join_all((0..100).map(ask)).await;
        assert_eq!(answers, (1..=100).collect::<Vec<_>>());
    });
}

#[test]
fn a_transaction_that_is_dropped_is_rolled_back() {
    let Some(server) = postgres() else { return };
    run(async {
        let (mut client, _connection) = connect(server.address).await;
        client.batch_execute("CREATE TEMPORARY TABLE names (name TEXT)").await.unwrap();
        let transaction = client.transaction().await.unwrap();
        transaction.execute("INSERT INTO names VALUES ('dropped')", &[]).await.unwrap();
        drop(transaction);
        let transaction = client.transaction().await.unwrap();
        transaction.execute("INSERT INTO names VALUES ('kept')", &[]).await.unwrap();
        transaction.commit().await.unwrap();
        let rows = client.query("SELECT name FROM names", &[]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<&str>>(), ["kept"]);
    });
}

#[test]
fn rows_and_copies_of_megabytes_are_streamed() {
    let Some(server) = postgres() else { return };
    run(async {
        let (client, _connection) = connect(server.address).await;
        let rows =
            client.query_raw("SELECT REPEAT('x', 1000) FROM GENERATE_SERIES(1, 3000)", [0_i32; 0]);
        let lengths = rows.await.unwrap().map_ok(|row| row.get::<_, &str>(0).len());
        let sum = lengths.try_fold(0, async |sum, length| Ok::<_, Error>(sum + length)).await;
        assert_eq!(sum.unwrap(), 3_000_000);

        client.batch_execute("CREATE TEMPORARY TABLE lines (line TEXT)").await.unwrap();
        let sink = client.copy_in("COPY lines FROM STDIN").await.unwrap();
        pin_mut!(sink);
        for _ in 0..300 {
            let line = Bytes::from(format!("{}\n", "y".repeat(9_999)));
            sink.send(line).await.unwrap();
        }
        assert_eq!(sink.finish().await.unwrap(), 300);
        let copy = client.copy_out("COPY lines TO STDOUT").await.unwrap();
        let copied: Vec<Bytes> = copy.try_collect().await.unwrap();
        assert_eq!(copied.iter().map(Bytes::len).sum::<usize>(), 3_000_000);
    });
}

#[test]
fn a_notification_reaches_another_connection() {
    let Some(server) = postgres() else { return };
    run(async {
        let (listener, heard) = connect(server.address).await;
        let (speaker, _connection) = connect(server.address).await;
        listener.batch_execute("LISTEN news").await.unwrap();
        speaker.batch_execute("NOTIFY news, 'one'; NOTIFY news, 'two'").await.unwrap();
        listener.batch_execute("SELECT 1").await.unwrap(); // what came before is delivered first
        drop(listener); // ends the connection, and its task
        assert_eq!(heard.await.unwrap(), ["one", "two"]);
    });
}

#[test]
fn a_query_that_takes_too_long_is_cancelled_over_a_second_connection() {
    const RUNNING: &str = "SELECT COUNT(*) FROM pg_stat_activity
        WHERE state = 'active' AND query = 'SELECT PG_SLEEP(3600)'";
    let Some(server) = postgres() else { return };
    run(async {
        let (client, _connection) = connect(server.address).await;
        let cancel = client.cancel_token();
        let sleeping = spawn(async move { client.batch_execute("SELECT PG_SLEEP(3600)").await });
        let (watcher, _connection) = connect(server.address).await;
        while watcher.query_one(RUNNING, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
        let stream = TcpStream::connect(server.address).await.unwrap().compat();
        cancel.cancel_query_raw(stream, NoTls).await.unwrap();
        let error = sleeping.await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
    });
}
