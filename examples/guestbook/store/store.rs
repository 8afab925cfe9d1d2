//! The store of the entries: SQLite in a file, or PostgreSQL.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use squall_net::timeout;

use crate::store::entry::{Added, NewEntry, Page, Position};
use crate::store::postgres_store::PostgresStore;
use crate::store::sqlite_store::SqliteStore;
use crate::store::store_error::StoreError;

/// How long the database may take for one request, the wait for a connection included.
const LIMIT: Duration = Duration::from_secs(5);

/// The entries. While the database is away, every call fails; once it is back, the next call opens
/// new connections.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    /// Whether the last call failed. The log has the times when that changes, and not each call.
    is_away: Cell<bool>,
}

#[derive(Debug)]
enum Database {
    Sqlite(SqliteStore),
    Postgres(Box<PostgresStore>),
}

impl Store {
    /// The store in the SQLite file at `path`, which is created if it is missing.
    pub(crate) fn sqlite(path: &Path) -> Store {
        Store::new(Database::Sqlite(SqliteStore::new(path)))
    }

    /// The store in a PostgreSQL database, with an address of the form
    /// `postgres://user:password@host:port/database`. It makes its table if it is missing.
    ///
    /// # Errors
    /// If the address is malformed.
    pub(crate) fn postgres(address: &str) -> Result<Store, tokio_postgres::Error> {
        Ok(Store::new(Database::Postgres(PostgresStore::new(address)?.into())))
    }

    fn new(database: Database) -> Store {
        Store { database, is_away: Cell::new(false) }
    }

    /// Stores an entry, unless there is one with the same key. When this returns, the entry
    /// survives a crash of this program, of the database, and of the machine.
    ///
    /// # Errors
    /// The database is away. The error says whether the entry may be stored all the same.
    pub(crate) async fn add(&self, entry: NewEntry) -> Result<Added, StoreError> {
        let adding = async {
            match &self.database {
                Database::Sqlite(store) => store.add(entry).await,
                Database::Postgres(store) => store.add(entry).await,
            }
        };
        self.limited(adding).await
    }

    /// A page of the list.
    ///
    /// # Errors
    /// The database is away.
    pub(crate) async fn page(&self, position: Position) -> Result<Page, StoreError> {
        let reading = async {
            match &self.database {
                Database::Sqlite(store) => store.page(position).await,
                Database::Postgres(store) => store.page(position).await,
            }
        };
        self.limited(reading).await
    }

    async fn limited<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let late = || StoreError::unanswered(format!("no answer within {LIMIT:?}"));
        let outcome = timeout(LIMIT, call).await.unwrap_or_else(|_| Err(late()));
        let was_away = self.is_away.replace(outcome.is_err());
        match &outcome {
            Err(error) if !was_away => log::error!("the database is away: {error}"),
            Ok(_) if was_away => log::warn!("the database is back"),
            _ => {}
        }
        outcome
    }
}
