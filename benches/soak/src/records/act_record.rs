//! Acts of chaos, as they were carried out.

use serde::{Deserialize, Serialize};

use crate::records::act::Act;

/// An act of chaos.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ActRecord {
    pub(crate) act: Act,
    /// In seconds since the run began.
    pub(crate) begin: f64,
    pub(crate) end: f64,
    /// What it did, or why it was skipped.
    pub(crate) note: String,
}
