//! What HTTP costs: the servers, the latency of their answers, also under overload, and the clients.

pub(crate) mod fetches;
pub(crate) mod file;
pub(crate) mod latency;
pub(crate) mod overload;
pub(crate) mod workers;

use std::io;

use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::table::Table;
use crate::timing;

/// Connections that stay open.
pub(crate) fn kept(plan: &Plan) -> io::Result<Vec<Table>> {
    let one = "64 connections send an HTTP request and wait for the answer";
    let many = "64 connections send 16 HTTP requests at once and wait for the answers";
    let one = timing::measure(plan, Exchange::Http, one)?;
    Ok(vec![one, timing::measure(plan, Exchange::Pipelined, many)?])
}

/// A connection for each request.
pub(crate) fn close(plan: &Plan) -> io::Result<Vec<Table>> {
    let title = "A connection for each HTTP request: connect, `Connection: close`, one answer, end";
    Ok(vec![timing::measure(plan, Exchange::HttpClose, title)?])
}

/// Bodies both ways.
pub(crate) fn echo(plan: &Plan) -> io::Result<Vec<Table>> {
    let title = "64 connections send 10 KiB by POST and wait until they come back";
    Ok(vec![timing::measure(plan, Exchange::HttpEcho, title)?])
}
