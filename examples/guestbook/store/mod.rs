//! Where the entries are kept. Open `store.rs` first.

pub(crate) mod entry;
pub(crate) mod pool;
pub(crate) mod postgres_store;
pub(crate) mod sqlite_store;
pub(crate) mod statements;
pub(crate) mod store;
pub(crate) mod store_error;
