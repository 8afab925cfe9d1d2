//! The instruction counts that were last accepted for squall, in a file of the repository.

use std::fs;
use std::io;
use std::path::Path;

use crate::counts::instructions_each;
use crate::exchange::Exchange;
use crate::plan::Plan;
use crate::servers;
use crate::table::Table;

/// One line for each exchange: its name and the count.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/accepted_instructions.txt");
/// A larger change, in percent, is reported. Counts of two runs differ by less than one percent.
const TOLERATED: f64 = 3.0;

/// Counts squall's instructions, and prints them beside the accepted ones. With `accept` of the
/// plan, the new counts are accepted.
pub(crate) fn compare(plan: &Plan) -> io::Result<()> {
    let server = servers::named("squall").map_err(io::Error::other)?;
    let before = accepted(Path::new(FILE))?;
    let steps = plan.progress("squall's instructions", Exchange::COUNTED.len());
    let mut table = Table::new(&["exchange", "accepted", "now", "change"]);
    let (mut changes, mut lines) = (Vec::new(), String::new());
    for exchange in Exchange::COUNTED {
        let now = instructions_each(plan, server, exchange)?.round();
        let name = exchange.name();
        lines.push_str(&format!("{name} {now}\n"));
        let mut row = vec![name.to_owned(), "–".to_owned(), now.to_string(), "new".to_owned()];
        if let Some((_, accepted)) = before.iter().find(|(known, _)| known == name) {
            let percent = (now / accepted - 1.0) * 100.0;
            row[1] = accepted.to_string();
            row[3] = format!("{percent:+.1} %");
            if percent.abs() > TOLERATED {
                changes
                    .push(format!("changed: {name}, {accepted} to {now} instructions a request"));
            }
        }
        table.row(row);
        steps.inc(1);
    }
    steps.finish_and_clear();
    table.print("squall's user-space instructions a request, beside the accepted counts");
    println!();
    changes.iter().for_each(|change| println!("{change}"));
    if changes.is_empty() {
        println!("no count has changed by more than {TOLERATED} %");
    }
    if plan.accepts {
        fs::write(FILE, lines)?;
    }
    Ok(())
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
