//! What a run writes down: one JSON object a line.

pub(crate) mod act;
pub(crate) mod act_record;
pub(crate) mod failure;
pub(crate) mod json_line;
pub(crate) mod load_report;
pub(crate) mod server_report;
