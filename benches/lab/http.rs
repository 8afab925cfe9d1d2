//! What HTTP costs: the servers, the latency of their answers, and the clients.

pub(crate) mod fetches;
pub(crate) mod file;
pub(crate) mod latency;
pub(crate) mod workers;

use std::io;

use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::timing;

/// All measurements of HTTP.
pub(crate) fn all(plan: &Plan) -> io::Result<()> {
    kept(plan)?;
    close(plan)?;
    echo(plan)?;
    latency::measure(plan)?;
    file::measure(plan)?;
    workers::measure(plan)?;
    fetches::measure(plan)
}

/// Connections that stay open.
pub(crate) fn kept(plan: &Plan) -> io::Result<()> {
    let title = "64 connections send an HTTP request and wait for the answer";
    timing::measure(plan, Exchange::Http, title)?;
    let title = "64 connections send 16 HTTP requests at once and wait for the answers";
    timing::measure(plan, Exchange::Pipelined, title)
}

/// A connection for each request.
pub(crate) fn close(plan: &Plan) -> io::Result<()> {
    let title = "A connection for each HTTP request: connect, `Connection: close`, one answer, end";
    timing::measure(plan, Exchange::HttpClose, title)
}

/// Bodies both ways.
pub(crate) fn echo(plan: &Plan) -> io::Result<()> {
    let title = "64 connections send 10 KiB by POST and wait until they come back";
    timing::measure(plan, Exchange::HttpEcho, title)
}
