//! sqlx on tokio's sockets and timers, through async-compat.

use std::sync::Arc;

use async_compat::Compat;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::{Connection, Row};
use squall_net::{spawn, stats};

use crate::local_server::{LocalServer, postgres};
use crate::support::run;

async fn pool(server: &Arc<LocalServer>, connections: u32) -> PgPool {
    let options = PgPoolOptions::new().max_connections(connections);
    options.connect(&format!("postgres://postgres@{}/postgres", server.address)).await.unwrap()
}

#[test]
fn tasks_of_squall_share_a_pool() {
    let Some(server) = postgres() else { return };
    run(Compat::new(async {
        let pool = pool(&server, 3).await;
        let ask = |number: i32| {
            let pool = pool.clone();
            spawn(Compat::new(async move {
                let query = sqlx::query_scalar("SELECT $1 + 1").bind(number);
                query.fetch_one(&pool).await.unwrap()
            }))
        };
        let answers: Vec<i32> =
            join_all((0..50).map(ask)).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (1..=50).collect::<Vec<_>>());
        assert!(pool.size() <= 3);
        pool.close().await;
    }));
}

#[test]
fn a_transaction_that_is_dropped_is_rolled_back() {
    let Some(server) = postgres() else { return };
    run(Compat::new(async {
        let pool = pool(&server, 1).await;
        let mut connection = pool.acquire().await.unwrap();
        let create = sqlx::query("CREATE TEMPORARY TABLE names (name TEXT)");
        create.execute(&mut *connection).await.unwrap();
        for (name, is_kept) in [("dropped", false), ("kept", true)] {
            let mut transaction = connection.begin().await.unwrap();
            let insert = sqlx::query("INSERT INTO names VALUES ($1)").bind(name);
            insert.execute(&mut *transaction).await.unwrap();
            if is_kept {
                transaction.commit().await.unwrap();
            }
        }
        let select = sqlx::query_scalar("SELECT name FROM names");
        let names: Vec<String> = select.fetch_all(&mut *connection).await.unwrap();
        assert_eq!(names, ["kept"]);
        drop(connection);
        pool.close().await;
    }));
}

#[test]
fn rows_are_streamed_and_errors_are_told() {
    let Some(server) = postgres() else { return };
    run(Compat::new(async {
        let pool = pool(&server, 1).await;
        let mut sum = 0;
        let mut rows = sqlx::query("SELECT n FROM GENERATE_SERIES(1, 10000) AS n").fetch(&pool);
        while let Some(row) = rows.try_next().await.unwrap() {
            sum += i64::from(row.get::<i32, _>(0));
        }
        drop(rows);
        assert_eq!(sum, 50_005_000);
        let error = sqlx::query("SELECT 1 / 0").execute(&pool).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().unwrap(), "22012");
        pool.close().await;
    }));
}

#[test]
fn a_notification_wakes_a_task_of_squall() {
    let Some(server) = postgres() else { return };
    run(Compat::new(async {
        let pool = pool(&server, 2).await;
        let mut listener = PgListener::connect_with(&pool).await.unwrap();
        listener.listen("sqlx_news").await.unwrap();
        let heard = spawn(Compat::new(async move { listener.recv().await.unwrap() }));
        let notify = sqlx::query("SELECT PG_NOTIFY('sqlx_news', 'hello')");
        notify.execute(&pool).await.unwrap();
        assert_eq!(heard.await.unwrap().payload(), "hello");
        pool.close().await;
        assert!(stats().messages > 0, "tokio's thread wakes the loop");
    }));
}
