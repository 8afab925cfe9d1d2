//! A web chat: rooms over WebSockets, in one process, or in many that share a PostgreSQL database.
//!
//! ```text
//! cargo run --release -p squall-chat
//! firefox http://127.0.0.1:8080/room/lobby                     in two windows
//! curl -s http://127.0.0.1:8080/status
//!
//! createdb chat                                                two processes are one chat:
//! cargo run --release -p squall-chat -- --listen 127.0.0.1:8081 --database postgres:///chat?host=/run/postgresql
//! cargo run --release -p squall-chat -- --listen 127.0.0.1:8082 --database postgres:///chat?host=/run/postgresql
//! CHAT_ADDRESS=127.0.0.1:8080 CHAT_SERVER_1=127.0.0.1:8081 CHAT_SERVER_2=127.0.0.1:8082 \
//!     haproxy -f examples/chat/haproxy.cfg
//! ```

mod options;

use std::process::ExitCode;
use std::time::Duration;

use futures_lite::future::{or, zip};
use options::{HELP, Options};
use squall_chat::{Chat, Limits, application};
use squall_net::{block_on, signal};
use tiny_http::{Config, HttpServer};

/// How long the clients may take to leave after a stop signal.
const GRACE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let options = match options::parse() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("chat: {error} (try --help)");
            return ExitCode::from(2);
        }
    };
    match block_on(serve(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until a stop signal, or until the listening socket fails.
async fn serve(options: Options) -> Result<(), String> {
    let limits = Limits::default();
    let chat = match options.database {
        Some(config) => Chat::with_database(limits, config),
        None => Chat::in_memory(limits),
    };
    let server = HttpServer::new(Config::default(), application(&chat));
    let listen = &options.listen;
    let address =
        server.listen(listen).map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    println!("listening on http://{address}");
    // When this is done, a second signal has its default action: it ends the process.
    let told_to_end = async { signal::termination().await.map(drop) };
    let ended = or(told_to_end, server.closed()).await;
    // The server stops accepting before the clients are told, so they come back to another one.
    let (report, ()) = zip(server.shut_down(GRACE), chat.shut_down(GRACE)).await;
    if report.aborted > 0 {
        log::warn!("{} connections were cut after {GRACE:?}", report.aborted);
    }
    ended.map_err(|error| error.to_string())
}
