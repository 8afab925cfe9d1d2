//! What a browser, Prometheus and a probe get. Open `routes.rs` first.

mod health;
mod host_check;
mod metrics;
mod metrics_text;
pub(crate) mod routes;
mod snapshot;
pub(crate) mod viewers;
