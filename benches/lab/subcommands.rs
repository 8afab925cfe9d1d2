//! What the lab does instead of measuring: it is the process of a server, a client or a runtime,
//! or makes something of a report.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::clients::{self, Target};
use crate::page::Page;
use crate::process::{self, ServerArgs};
use crate::report::Report;
use crate::{http, plot, servers, timers};

type Subcommand = fn(lexopt::Parser) -> Result<(), Box<dyn Error>>;

/// The subcommand of this name. The error is the name.
pub(crate) fn named(name: &str) -> Result<Subcommand, String> {
    match name {
        "serve" => Ok(serve),
        "fetch" => Ok(fetch),
        "runtime" => Ok(timers::run),
        "plot" => Ok(plot),
        "page" => Ok(page),
        other => Err(other.to_owned()),
    }
}

/// Runs the server process: `lab serve SERVER SERVICE [--count-heap] [--descriptors N]`.
fn serve(mut arguments: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let server = servers::named(&arguments.value()?.string()?)?;
    let mut args = ServerArgs::new(server.name, arguments.value()?.parse()?);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("count-heap") => args.counts_heap = true,
            Long("descriptors") => args.descriptors = Some(arguments.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(process::serve(server, args)?)
}

/// Runs the client process: `lab fetch CLIENT PORT BODY_BYTES AT_ONCE SECONDS`.
fn fetch(mut arguments: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let client = clients::named(&arguments.value()?.string()?)?;
    let target = Target {
        port: arguments.value()?.parse()?,
        body_len: arguments.value()?.parse()?,
        at_once: arguments.value()?.parse()?,
    };
    let time = Duration::try_from_secs_f64(arguments.value()?.parse()?)?;
    Ok(http::fetches::fetch(client, target, time)?)
}

/// Draws the pictures of a report: `lab plot REPORT.json DIR`.
fn plot(mut arguments: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let report = Report::load(&PathBuf::from(arguments.value()?))?;
    let directory = PathBuf::from(arguments.value()?);
    fs::create_dir_all(&directory)?;
    plot::draw(&report, &directory)
}

/// Puts the tables of a report into a page: `lab page REPORT.json PAGE`.
fn page(mut arguments: lexopt::Parser) -> Result<(), Box<dyn Error>> {
    let report = Report::load(&PathBuf::from(arguments.value()?))?;
    let file = PathBuf::from(arguments.value()?);
    let page = Page::with(&report, &fs::read_to_string(&file)?)?;
    fs::write(&file, &page.text)?;
    page.kept.iter().for_each(|name| println!("kept as it was: {name} is not in the report"));
    Ok(())
}
