//! A crawler: several workers take pages from one queue, fetch each page of a site once, and report
//! the dead links. Without a URL it crawls a site of 1,000 pages, which it makes and serves on the
//! same loop.
//!
//! ```text
//! cargo run --release -p squall-crawler
//! cargo run --release -p squall-crawler -- http://127.0.0.1:8080/
//! cargo run --release -p squall-crawler --features tls -- --pages 100 https://example.org/
//! ```

mod crawl;
mod links;
mod report;
mod site;

use std::error::Error;
use std::io;
use std::process::ExitCode;

use futures_lite::FutureExt;
use indicatif::{ProgressBar, ProgressStyle};
use lexopt::prelude::*;
use squall_net::{block_on, now, signal};
use tiny_http::HttpServer;

use crate::crawl::{Crawl, Limits};

const HELP: &str = "\
A crawler that fetches each page of a site once and reports the dead links.

Usage: crawler [OPTIONS] [URL]

Without a URL, crawls a site of 1,000 pages that it makes and serves itself. It follows links to the
URL's own host only, and does not read robots.txt: crawl your own sites.

Options:
  -w, --workers N   Requests at the same time [default: 10]
  -n, --pages N     The most pages to fetch [default: 10000]
  -h, --help        Print this help

Ctrl-C ends the crawl with the report. The exit code is 0 if no link is dead, 1 if one is, and 130
after Ctrl-C.";

/// The exit code of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

struct Options {
    url: Option<String>,
    limits: Limits,
}

/// Parses the command line. Returns `None` for `--help`.
fn options() -> Result<Option<Options>, lexopt::Error> {
    let mut options = Options { url: None, limits: Limits { workers: 10, pages: 10_000 } };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('w') | Long("workers") => {
                options.limits.workers = parser.value()?.parse_with(count)?;
            }
            Short('n') | Long("pages") => {
                options.limits.pages = parser.value()?.parse_with(count)?
            }
            Short('h') | Long("help") => return Ok(None),
            Value(url) if options.url.is_none() => options.url = Some(url.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn count(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number of at least 1 is needed"),
        Ok(count) => Ok(count),
    }
}

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let options = match options() {
        Ok(Some(options)) => options,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("crawler: {error} (try --help)");
            return ExitCode::from(2);
        }
    };
    match block_on(run(options)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("crawler: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<ExitCode, Box<dyn Error>> {
    // Lives until the end of the crawl.
    let (_server, url) = match options.url {
        Some(url) => (None, url),
        None => {
            let (server, url) = own_site()?;
            (Some(server), url)
        }
    };
    let begin = now();
    let crawl = Crawl::new(options.limits, progress_bar());
    crawl.start(&url).await.map_err(|error| format!("{url}: {error}"))?;
    let is_complete = async {
        crawl.joined().await;
        Ok::<_, io::Error>(true)
    };
    let is_complete = is_complete
        .or(async {
            signal::ctrl_c().await?;
            Ok(false)
        })
        .await?;
    let report = crawl.finish();
    println!("{}", report.summary(&url, now() - begin, is_complete));
    Ok(match (is_complete, report.dead.is_empty()) {
        (false, _) => ExitCode::from(INTERRUPTED),
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::FAILURE,
    })
}

/// Serves the generated site on this loop.
fn own_site() -> io::Result<(HttpServer, String)> {
    let server = HttpServer::new(tiny_http::Config::default(), site::application());
    let address = server.listen("127.0.0.1:0")?;
    Ok((server, format!("http://{address}/")))
}

/// A bar on standard error. It shows nothing if that is not a terminal.
fn progress_bar() -> ProgressBar {
    let template = "{elapsed_precise} [{bar:40}] {pos} of {len} pages {wide_msg}";
    let style = ProgressStyle::with_template(template);
    let bar = ProgressBar::new(0);
    bar.set_style(style.expect("the template is correct").progress_chars("=> "));
    bar
}
