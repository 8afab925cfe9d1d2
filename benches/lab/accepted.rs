//! The instruction counts that were last accepted for squall, in a file of the repository.

use std::fs;
use std::io;
use std::path::Path;

use crate::counts::instructions_each;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::servers;
use crate::table::{Cell, Table};

/// One line for each exchange: its name and the count.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/accepted_instructions.txt");
/// A larger change, in percent, is reported. Counts of two runs differ by less than one percent.
const TOLERATED: f64 = 3.0;

/// Counts squall's instructions, and shows them beside the accepted ones. If the plan accepts
/// changes, the new counts are accepted.
pub(crate) fn compare(plan: &Plan) -> io::Result<Vec<Table>> {
    let server = servers::named("squall").map_err(io::Error::other)?;
    let before = accepted(Path::new(FILE))?;
    let steps = plan.progress("squall's instructions", Exchange::COUNTED.len());
    let title = "squall's user-space instructions a request, beside the accepted counts";
    let mut table = Table::new("changes", title, "exchange")
        .column("accepted", "", 0)
        .column("now", "", 0)
        .column("change", "", 0);
    let mut lines = String::new();
    for exchange in Exchange::COUNTED {
        let now = instructions_each(plan, server, exchange)?.round();
        let name = exchange.name();
        lines.push_str(&format!("{name} {now}\n"));
        let mut row = vec![Cell::Empty, Cell::once(now), Cell::Text("new".to_owned())];
        if let Some((_, accepted)) = before.iter().find(|(known, _)| known == name) {
            let percent = (now / accepted - 1.0) * 100.0;
            row[0] = Cell::once(*accepted);
            row[2] = Cell::Text(format!("{percent:+.1} %"));
            if percent.abs() > TOLERATED {
                let change = format!("{name}, {accepted} to {now} instructions a request");
                table.notes.push(format!("changed: {change}"));
            }
        }
        table.row(name, row);
        steps.inc(1);
    }
    steps.finish_and_clear();
    if table.notes.is_empty() {
        table.notes.push(format!("no count has changed by more than {TOLERATED} %"));
    }
    if plan.accepts {
        fs::write(FILE, lines)?;
    }
    Ok(vec![table])
}

/// Reads the file. An absent file holds no counts.
fn accepted(file: &Path) -> io::Result<Vec<(String, f64)>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let parse = |line: &str| {
        let (name, count) = line.split_once(' ')?;
        Some((name.to_owned(), count.parse().ok()?))
    };
    let counts = text.lines().map(parse).collect::<Option<_>>();
    counts.ok_or_else(|| io::Error::other(format!("{FILE} is malformed")))
}
