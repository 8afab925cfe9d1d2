//! Entries in an SQLite file.
//!
//! SQLite blocks, so every statement is a job of `spawn_blocking`, which gets its connection with
//! it. One connection writes and three read. With a write-ahead log they work at the same time: a
//! page never waits for the disk that confirms an entry. More than one writer would only wait for
//! the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};
use squall_net::spawn_blocking;

use crate::store::entry::{Added, Entry, NewEntry, Page, Position, ROWS};
use crate::store::pool::Pool;
use crate::store::statements::{ADD, AFTER, BEFORE, FIND};
use crate::store::store_error::StoreError;

const READERS: usize = 3;

/// How long a statement waits for another process that uses the file, for example a backup.
const BUSY_LIMIT: Duration = Duration::from_secs(2);

/// Every commit waits for the disk (`FULL`), because the client is told that the entry is stored.
const SETUP: &str = "PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        message TEXT NOT NULL,
        picture TEXT,
        posted INTEGER NOT NULL
    ) STRICT;";

#[derive(Debug)]
pub(crate) struct SqliteStore {
    path: Arc<Path>,
    writer: Pool<Connection>,
    readers: Pool<Connection>,
}

impl SqliteStore {
    /// The store in this file. The first statement opens it.
    pub(crate) fn new(path: &Path) -> SqliteStore {
        SqliteStore { path: path.into(), writer: Pool::new(1), readers: Pool::new(READERS) }
    }

    pub(crate) async fn add(&self, entry: NewEntry) -> Result<Added, StoreError> {
        self.run(&self.writer, move |connection| add(connection, &entry)).await
    }

    pub(crate) async fn page(&self, position: Position) -> Result<Page, StoreError> {
        self.run(&self.readers, move |connection| page(connection, position)).await
    }

    /// Runs `job` with a connection of `pool` on another thread. A connection that fails is closed.
    async fn run<T: Send + 'static>(
        &self,
        pool: &Pool<Connection>,
        job: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut place = pool.take().await;
        let (path, connection) = (Arc::clone(&self.path), place.connection.take());
        let running = spawn_blocking(move || {
            let opened = connection.map_or_else(|| open(&path), Ok);
            let connection = opened.map_err(StoreError::unreachable)?;
            let output = job(&connection).map_err(StoreError::unanswered)?;
            Ok::<_, StoreError>((connection, output))
        });
        let (connection, output) = running.await.map_err(StoreError::unanswered)??;
        place.connection = Some(connection);
        Ok(output)
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_LIMIT)?;
    connection.execute_batch(SETUP)?;
    Ok(connection)
}

fn add(connection: &Connection, entry: &NewEntry) -> rusqlite::Result<Added> {
    let NewEntry { key, name, message, picture, posted } = entry;
    let added = connection
        .prepare(ADD)?
        .query_row(params![key, name, message, picture, posted], |row| row.get(0))
        .optional()?;
    match added {
        Some(id) => Ok(Added::New(id)),
        None => connection.prepare(FIND)?.query_row([key], |row| row.get(0)).map(Added::Before),
    }
}

fn page(connection: &Connection, position: Position) -> rusqlite::Result<Page> {
    let (statement, from) = match position {
        Position::Newest => (BEFORE, i64::MAX),
        Position::Before(id) => (BEFORE, id),
        Position::After(id) => (AFTER, id),
    };
    let mut statement = connection.prepare(statement)?;
    let rows = statement.query_map((from, ROWS), entry)?;
    Ok(Page::of(position, rows.collect::<Result<_, _>>()?))
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        name: row.get(1)?,
        message: row.get(2)?,
        picture: row.get(3)?,
        posted: row.get(4)?,
    })
}
