//! The command line.

use lexopt::prelude::*;
use tokio_postgres::Config;

pub(crate) const HELP: &str = "\
A web chat on the squall event loop.

Usage: chat [OPTIONS]

Options:
  -l, --listen ADDR    Address to listen on [default: 127.0.0.1:8080]; port 0 lets the kernel choose
  -d, --database URL   A PostgreSQL database, for example postgres://user:secret@127.0.0.1/chat
  -h, --help           Print this help

Without a database, messages end with the process. With one, all processes that use it share their
rooms. SIGTERM and Ctrl-C close all WebSockets; a second signal stops at once.";

pub(crate) struct Options {
    pub(crate) listen: String,
    pub(crate) database: Option<Config>,
}

/// Parses the command line. Returns `None` for `--help`.
pub(crate) fn parse() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options { listen: "127.0.0.1:8080".into(), database: None };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('l') | Long("listen") => options.listen = parser.value()?.string()?,
            Short('d') | Long("database") => options.database = Some(parser.value()?.parse()?),
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}
