//! The event loops of a program, live in a browser: an example of what a loop tells about itself.
//!
//! One line shows the loop of this thread, and the program goes on as before:
//!
//! ```
//! # squall_net::block_on(async {
//! let dashboard = dashboard::serve("127.0.0.1:0")?; // or another port than 0
//! println!("look at http://{}/", dashboard.address());
//! # dashboard.stop();
//! # std::io::Result::Ok(())
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! - `/` shows how busy the loop is, its turns, tasks, timers and descriptors, what held it for too
//!   long, and the times of its entries. When the loop is stuck, the page says for how long, and in
//!   which line.
//! - `/metrics` has the same numbers in Prometheus's text format.
//! - `/health` is 200, or 503 while a loop has not answered for [`Options::health_limit`]: a liveness
//!   probe. Its deadline must be longer than that limit.
//!
//! The dashboard has a thread and a loop of its own, so it answers while the observed loop is stuck.
//! It asks that loop by a message through its [`Handle`](squall_net::Handle), once a second while
//! somebody looks. While nobody looks, there are no messages, and the loop times no entries.
//!
//! There is no password. Everybody who reaches the address can read the names and lines of tasks, so
//! listen on a loopback address. The server refuses requests for foreign host names, which a web site
//! could use to read the page through its visitor's browser: see [`Options::allow_host`].
//!
//! Open `dashboard.rs` first. `observed/` is what is asked of a loop and what runs on it, and `site/`
//! what the browser gets.
//!
//! ```text
//!   the program's thread                    the dashboard's thread
//!   loop ◀── question ─────────────────────── watched ◀── events   ──▶ a page, each second
//!    │                                           ▲    ◀── metrics  ──▶ Prometheus
//!    ├──▶ sample ──── answer ───────────────────▶│    ◀── health   ──▶ a probe
//!    └──▶ recorder ── what runs, and how long ──▶┘
//! ```

mod dashboard;
mod observed;
mod options;
mod site;

use std::io;
use std::net::ToSocketAddrs;

pub use dashboard::Dashboard;
pub use observed::gauges::gauge;
pub use options::Options;

/// Serves the dashboard of this thread's loop, which is called `main` there, with the default
/// [`Options`].
///
/// The dashboard goes on when the returned value is dropped; [`Dashboard::stop`] ends it.
///
/// # Errors
/// As [`Options::serve`].
///
/// # Panics
/// If there is no loop on this thread.
#[track_caller]
pub fn serve(address: impl ToSocketAddrs) -> io::Result<Dashboard> {
    Options::default().serve(address)
}
