//! A request that takes all memory that its process may have.

use std::hint::black_box;

use http::StatusCode;
use squall_net::yield_now;
use tiny_http::Response;

/// More than the memory cap that a run sets, so that the kernel kills the worker before this.
const MAX_HOGGED: usize = 1 << 30;
const STEP: usize = 16 << 20;

/// Allocates and touches memory until the kernel kills this process. Without a memory cap, gives up
/// and answers 507.
pub(crate) async fn grow_until_killed() -> Response {
    let mut hogged = Vec::new();
    while hogged.len() * STEP < MAX_HOGGED {
        hogged.push(black_box(vec![1_u8; STEP]));
        yield_now().await;
    }
    Response::status(StatusCode::INSUFFICIENT_STORAGE)
}
