//! Why the database did not answer.

use std::error::Error;
use std::fmt;

/// The database is away, or refuses to work. The same may succeed later.
#[derive(Debug)]
pub(crate) struct StoreError {
    cause: Box<dyn Error + Send + Sync>,
    /// Whether a new entry may be stored all the same: the database had it, and the answer is lost.
    pub(crate) may_have_stored: bool,
}

impl StoreError {
    /// The database did not get the entry.
    pub(crate) fn unreachable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError { cause: cause.into(), may_have_stored: false }
    }

    /// As `self`, after an earlier attempt that got no answer.
    pub(crate) fn after(self, attempt: Option<StoreError>) -> StoreError {
        let may_have_stored = attempt.is_some_and(|attempt| attempt.may_have_stored);
        StoreError { may_have_stored: self.may_have_stored || may_have_stored, ..self }
    }

    /// The database got the entry, and has not said that it is stored.
    pub(crate) fn unanswered(cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError { cause: cause.into(), may_have_stored: true }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)?;
        let mut source = self.cause.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Error for StoreError {}
