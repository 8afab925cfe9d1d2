//! A guestbook with pictures: forms, uploads and a database, on squall and `tiny_http`.
//!
//! ```text
//! cargo run --release -p squall-guestbook     # then open http://127.0.0.1:8080/ in a browser
//! cargo run --release -p squall-guestbook -- --database postgres://me:secret@localhost/guests
//! ```
//!
//! It shows how a program on one thread waits for everything at once:
//!
//! - Uploads arrive piece by piece and are written by other threads. Memory holds a piece of each,
//!   and a slow client or disk holds up no other request.
//! - SQLite blocks, so it runs on other threads too. PostgreSQL does not: `tokio-postgres` speaks
//!   over squall's sockets.
//! - A database that goes away costs an error page, and the typed text stays in the form. Once it is
//!   back, the guestbook goes on by itself. An entry that was confirmed is on the disk.
//!
//! Open `web/guestbook.rs` first: it has the way of a request. The form is read in `form/`, pictures
//! are in `pictures/`, the database in `store/` and the HTML in `pages/`.

mod form;
mod options;
mod pages;
mod pictures;
mod random;
mod store;
mod web;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use futures_lite::future::or;
use squall_net::{EventLoop, signal};
use tiny_http::{Config, HttpServer};

use crate::options::{HELP, Options};
use crate::pictures::picture_directory::PictureDirectory;
use crate::store::store::Store;
use crate::web::guestbook::Guestbook;
use crate::web::post_limit::PostLimit;

/// How long running requests may take after a stop signal.
const GRACE: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let options = match Options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("guestbook: {error} (try --help)");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guestbook: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let guestbook = guestbook(&options)?;
    EventLoop::new()?.block_on(serve(&options.listen, guestbook))
}

fn guestbook(options: &Options) -> Result<Guestbook, Box<dyn Error>> {
    let directory = options.data.join("pictures");
    let pictures = PictureDirectory::open(&directory).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => {
            format!("{} is in use by another guestbook", directory.display())
        }
        _ => format!("cannot use {}: {error}", directory.display()),
    })?;
    let store = match &options.database {
        Some(address) if is_postgres(address) => Store::postgres(address)
            .map_err(|error| format!("the address of the database is malformed: {error}"))?,
        Some(path) => Store::sqlite(path.as_ref()),
        None => Store::sqlite(&options.data.join("guestbook.db")),
    };
    let limit = PostLimit::new(options.posts_a_minute);
    Ok(Guestbook { store, pictures, limit, behind_proxy: options.behind_proxy })
}

fn is_postgres(database: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| database.starts_with(scheme))
}

/// Serves until a signal comes or the listening socket fails. Then finishes the running requests.
async fn serve(address: &str, guestbook: Guestbook) -> Result<(), Box<dyn Error>> {
    let server = HttpServer::new(Config::default(), guestbook.into_application()?);
    let address =
        server.listen(address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on http://{address}");
    // The second signal finds no task that waits for it, and ends the process.
    let told_to_end = async { signal::termination().await.map(drop) };
    let ended = or(told_to_end, server.closed()).await;
    let report = server.shut_down(GRACE).await;
    if report.aborted > 0 {
        log::warn!("{} connections were cut after {GRACE:?}", report.aborted);
    }
    Ok(ended?)
}
