//! The command line.

use std::path::PathBuf;

use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
A guestbook with pictures, on the squall event loop.

Usage: guestbook [OPTIONS]

Options:
  -l, --listen ADDR        Address to listen on [default: 127.0.0.1:8080]; port 0 lets the kernel choose
  -d, --data DIR           Directory for the pictures and the SQLite file [default: guestbook-data]
      --database DATABASE  postgres://USER:PASSWORD@HOST:PORT/NAME, or the path of an SQLite file
                           [default: guestbook.db in the directory of --data]
      --posts-a-minute N   Posts that one client may send in a minute [default: 10]
      --behind-proxy       A proxy passes on all requests: believe its X-Forwarded-For and -Proto
  -h, --help               Print this help

SIGTERM and Ctrl-C stop accepting and finish running requests; a second signal stops at once.";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) listen: String,
    pub(crate) data: PathBuf,
    /// `None`: an SQLite file in `data`.
    pub(crate) database: Option<String>,
    pub(crate) posts_a_minute: u32,
    pub(crate) behind_proxy: bool,
}

impl Options {
    /// Parses the command line. Returns `None` for `--help`.
    ///
    /// # Errors
    /// An unknown option, or a malformed value.
    pub(crate) fn parse() -> Result<Option<Options>, lexopt::Error> {
        let mut options = Options {
            listen: "127.0.0.1:8080".into(),
            data: "guestbook-data".into(),
            database: None,
            posts_a_minute: 10,
            behind_proxy: false,
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Short('l') | Long("listen") => options.listen = parser.value()?.string()?,
                Short('d') | Long("data") => options.data = parser.value()?.into(),
                Long("database") => options.database = Some(parser.value()?.string()?),
                Long("posts-a-minute") => options.posts_a_minute = parser.value()?.parse()?,
                Long("behind-proxy") => options.behind_proxy = true,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Some(options))
    }
}
