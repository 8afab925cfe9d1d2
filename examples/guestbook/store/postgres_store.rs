//! Entries in a PostgreSQL database.
//!
//! The protocol is spoken by tokio-postgres, over squall's own sockets. It needs no runtime of
//! tokio: only the traits for reading and writing, which `compat` makes of those of futures-io.

use futures_io::{AsyncRead, AsyncWrite};
use squall_net::{AbortOnDrop, TcpStream, UnixStream, spawn};
use tokio_postgres::config::Host;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::{Client, Config, NoTls, Row, Statement};
use tokio_util::compat::FuturesAsyncReadCompatExt;

use crate::store::entry::{Added, Entry, NewEntry, Page, Position, ROWS};
use crate::store::pool::Pool;
use crate::store::statements::{ADD, AFTER, BEFORE, FIND};
use crate::store::store_error::StoreError;

/// The most connections to the database.
const CONNECTIONS: usize = 4;

const DEFAULT_PORT: u16 = 5432;

/// The lock keeps two programs that start at the same time from making the table twice, which is an
/// error in spite of `IF NOT EXISTS`.
const SETUP: &str = "SELECT pg_advisory_xact_lock(7308895167141340513);
    CREATE TABLE IF NOT EXISTS entries (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        name TEXT NOT NULL,
        message TEXT NOT NULL,
        picture TEXT,
        posted BIGINT NOT NULL
    );";

#[derive(Debug)]
pub(crate) struct PostgresStore {
    config: Config,
    pool: Pool<Connection>,
}

/// An open connection with its statements.
#[derive(Debug)]
struct Connection {
    client: Client,
    add: Statement,
    find: Statement,
    before: Statement,
    after: Statement,
    /// Moves the bytes. Dropping it closes the socket, also if an answer is still to come.
    _driver: AbortOnDrop<()>,
}

type Result<T, E = tokio_postgres::Error> = std::result::Result<T, E>;

impl PostgresStore {
    /// The store at this address. The first statement connects.
    ///
    /// # Errors
    /// If the address is malformed.
    pub(crate) fn new(address: &str) -> Result<PostgresStore> {
        Ok(PostgresStore { config: address.parse()?, pool: Pool::new(CONNECTIONS) })
    }

    pub(crate) async fn add(&self, entry: NewEntry) -> Result<Added, StoreError> {
        self.run(async |connection| connection.add(&entry).await).await
    }

    pub(crate) async fn page(&self, position: Position) -> Result<Page, StoreError> {
        self.run(async |connection| connection.page(position).await).await
    }

    /// Runs `call` on a connection of the pool, and again on a new one if the database has closed
    /// the former meanwhile, for example because it was restarted. To add an entry twice is
    /// harmless, because its key is the same.
    async fn run<T>(&self, call: impl AsyncFn(&Connection) -> Result<T>) -> Result<T, StoreError> {
        let mut place = self.pool.take().await;
        let mut attempt = None;
        if let Some(connection) = place.connection.take().filter(Connection::is_open) {
            match call(&connection).await {
                Ok(output) => {
                    place.connection = Some(connection);
                    return Ok(output);
                }
                Err(error) if connection.survives(&error) => {
                    return Err(StoreError::unanswered(error));
                }
                Err(error) => attempt = Some(StoreError::unanswered(error)),
            }
        }
        let connection = self.connect().await.map_err(|error| error.after(attempt))?;
        let output = call(&connection).await.map_err(StoreError::unanswered)?;
        place.connection = Some(connection);
        Ok(output)
    }

    /// Connects to the first host of the address that accepts.
    async fn connect(&self) -> Result<Connection, StoreError> {
        let mut error = StoreError::unreachable("the address names no host");
        let ports = self.config.get_ports();
        for (number, host) in self.config.get_hosts().iter().enumerate() {
            // One port is for all hosts.
            let port = ports.get(number).or(ports.first()).copied().unwrap_or(DEFAULT_PORT);
            match connect(&self.config, host, port).await {
                Ok(connection) => return Ok(connection),
                Err(why) => error = why,
            }
        }
        Err(error)
    }
}

async fn connect(config: &Config, host: &Host, port: u16) -> Result<Connection, StoreError> {
    match host {
        Host::Tcp(host) => {
            let stream = TcpStream::connect((host.as_str(), port)).await;
            Connection::over(config, stream.map_err(StoreError::unreachable)?).await
        }
        Host::Unix(directory) => {
            let path = directory.join(format!(".s.PGSQL.{port}"));
            let stream = UnixStream::connect(path).await;
            Connection::over(config, stream.map_err(StoreError::unreachable)?).await
        }
    }
    .map_err(StoreError::unreachable)
}

impl Connection {
    /// Logs in, and prepares what the requests need.
    async fn over<S>(config: &Config, stream: S) -> Result<Connection>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let (client, driver) = config.connect_raw(stream.compat(), NoTls).await?;
        let driver = spawn(async move {
            if let Err(error) = driver.await {
                log::debug!("a connection to the database ended: {error}");
            }
        });
        let driver = driver.abort_on_drop();
        client.batch_execute(SETUP).await?;
        Ok(Connection {
            add: client.prepare(ADD).await?,
            find: client.prepare(FIND).await?,
            before: client.prepare(BEFORE).await?,
            after: client.prepare(AFTER).await?,
            client,
            _driver: driver,
        })
    }

    fn is_open(&self) -> bool {
        !self.client.is_closed()
    }

    /// Whether the connection can be used after `error`. A fatal error is the last word of the
    /// database on a connection; the end of the stream may come later.
    fn survives(&self, error: &tokio_postgres::Error) -> bool {
        let severity = error.as_db_error().and_then(DbError::parsed_severity);
        self.is_open() && !matches!(severity, Some(Severity::Fatal | Severity::Panic))
    }

    async fn add(&self, entry: &NewEntry) -> Result<Added> {
        let NewEntry { key, name, message, picture, posted } = entry;
        let added =
            self.client.query_opt(&self.add, &[key, name, message, picture, posted]).await?;
        match added {
            Some(row) => row.try_get(0).map(Added::New),
            None => self.client.query_one(&self.find, &[key]).await?.try_get(0).map(Added::Before),
        }
    }

    async fn page(&self, position: Position) -> Result<Page> {
        let (statement, from) = match position {
            Position::Newest => (&self.before, i64::MAX),
            Position::Before(id) => (&self.before, id),
            Position::After(id) => (&self.after, id),
        };
        let rows = self.client.query(statement, &[&from, &ROWS]).await?;
        Ok(Page::of(position, rows.iter().map(entry).collect::<Result<_>>()?))
    }
}

fn entry(row: &Row) -> Result<Entry> {
    Ok(Entry {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        message: row.try_get(2)?,
        picture: row.try_get(3)?,
        posted: row.try_get(4)?,
    })
}
