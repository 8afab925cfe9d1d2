//! The statements, in the SQL that both databases understand.
//!
//! The parameters are numbered in the order of their first use: SQLite counts `$1` as a name, and
//! numbers names in that order.

/// Stores an entry, unless there is one with its key. Returns its number.
pub(crate) const ADD: &str = "INSERT INTO entries (key, name, message, picture, posted) \
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (key) DO NOTHING RETURNING id";

/// The number of the entry with a key.
pub(crate) const FIND: &str = "SELECT id FROM entries WHERE key = $1";

/// The newest entries before a number.
pub(crate) const BEFORE: &str = "SELECT id, name, message, picture, posted FROM entries \
     WHERE id < $1 ORDER BY id DESC LIMIT $2";

/// The oldest entries after a number.
pub(crate) const AFTER: &str = "SELECT id, name, message, picture, posted FROM entries \
     WHERE id > $1 ORDER BY id LIMIT $2";
