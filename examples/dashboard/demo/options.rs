//! The command line.

use lexopt::prelude::*;

pub(crate) const HELP: &str = "\
A program with some load, and a dashboard that shows its event loops live.

Usage: squall-dashboard [OPTIONS]

Options:
  -l, --listen ADDR      Address of the program's page [default: 127.0.0.1:8080]
  -d, --dashboard ADDR   Address of the dashboard [default: 127.0.0.1:8081]
  -h, --help             Print this help

Port 0 lets the kernel choose. SIGTERM and Ctrl-C finish running requests; a second signal stops at
once.";

pub(crate) struct Options {
    pub(crate) listen: String,
    pub(crate) dashboard: String,
}

impl Options {
    /// Parses the command line. Returns `None` for `--help`.
    pub(crate) fn from_command_line() -> Result<Option<Options>, lexopt::Error> {
        let mut options =
            Options { listen: "127.0.0.1:8080".into(), dashboard: "127.0.0.1:8081".into() };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Short('l') | Long("listen") => options.listen = parser.value()?.string()?,
                Short('d') | Long("dashboard") => options.dashboard = parser.value()?.string()?,
                Short('h') | Long("help") => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Some(options))
    }
}
