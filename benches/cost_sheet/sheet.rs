//! The tables of the sheet: how they are written, and how they are compared with what is measured.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use crate::cost::{Cost, number};
use crate::operations::{GROUPS, Operation};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cost-sheet.md");
/// The tables stand between these lines.
const BEGIN: &str = "<!-- The tables are written by `cost_sheet --write`. -->";
const END: &str = "<!-- The end of the tables. -->";
/// A larger change of instructions, in percent, is reported.
const TOLERATED: f64 = 3.0;
/// Smaller changes are never reported, so that a single instruction is none.
const TOLERATED_INSTRUCTIONS: f64 = 5.0;

/// The row of an operation, as it is printed.
struct Row {
    name: String,
    /// All cells but the name, the instructions and the limits.
    exact: Vec<String>,
    instructions: f64,
    limits: String,
}

impl Row {
    fn new(operation: &Operation, cost: &Cost) -> Row {
        let limits = operation.limits.iter().map(|limit| match limit.is_met(cost) {
            true => limit.to_string(),
            false => format!("**{limit}**"),
        });
        Row {
            name: operation.name.to_owned(),
            exact: vec![
                format!("{} / {}", number(cost.allocations), number(cost.frees)),
                number(cost.atomics),
                calls(cost),
                match operation.is_timed {
                    true => "–".to_owned(),
                    false => number(cost.clock_reads),
                },
            ],
            instructions: cost.instructions.round(),
            limits: limits.collect::<Vec<_>>().join(", "),
        }
    }

    fn parse(line: &str) -> Option<Row> {
        let line = line.strip_prefix("| ")?.strip_suffix(" |")?;
        let cells: Vec<_> = line.split(" | ").map(|cell| cell.trim().to_owned()).collect();
        let [name, exact @ .., instructions, limits] = &cells[..] else { return None };
        let instructions = instructions.parse().ok()?;
        Some(Row {
            name: name.clone(),
            exact: exact.to_vec(),
            instructions,
            limits: limits.clone(),
        })
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exact = self.exact.join(" | ");
        write!(f, "| {} | {exact} | {} | {} |", self.name, self.instructions, self.limits)
    }
}

/// Formats system calls, the most frequent first.
fn calls(cost: &Cost) -> String {
    let mut calls: Vec<_> = cost.calls.iter().filter(|(_, count)| number(**count) != "0").collect();
    calls.sort_by(|a, b| b.1.total_cmp(a.1));
    let one = |(name, count): &(&String, &f64)| match number(**count).as_str() {
        "1" => format!("`{name}`"),
        count => format!("{count} `{name}`"),
    };
    match calls.is_empty() {
        true => "0".to_owned(),
        false => calls.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

/// The tables, with what was measured.
pub(crate) fn tables(costs: &BTreeMap<String, Cost>) -> String {
    let mut text = String::new();
    for group in GROUPS {
        let measured = group.operations.iter().filter_map(|operation| {
            costs.get(operation.name).map(|cost| Row::new(operation, cost))
        });
        let rows: Vec<_> = measured.map(|row| format!("{row}\n")).collect();
        if !rows.is_empty() {
            text += &format!("\n## {}\n\n", group.title);
            text += "| operation | allocations / frees | atomics | system calls | clock reads \
                     | instructions | at most, by the design |\n|---|---|---|---|---|---|---|\n";
            text.extend(rows);
        }
    }
    text
}

/// Replaces the tables in the file.
pub(crate) fn write(costs: &BTreeMap<String, Cost>, compiler: &str) -> io::Result<()> {
    let text = fs::read_to_string(FILE)?;
    let (head, rest) = text.split_once(BEGIN).ok_or_else(|| no_tables(BEGIN))?;
    let (_, tail) = rest.split_once(END).ok_or_else(|| no_tables(END))?;
    let tables = tables(costs);
    fs::write(FILE, format!("{head}{BEGIN}\n\nMeasured with {compiler}.\n{tables}\n{END}{tail}"))
}

/// Compares the file with what was measured. Prints a line for each change of instructions. Returns
/// the lines that differ in anything else.
pub(crate) fn differences(costs: &BTreeMap<String, Cost>) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(FILE)?;
    let written: Vec<_> = text.lines().filter_map(Row::parse).collect();
    let mut different = Vec::new();
    for row in tables(costs).lines().filter_map(Row::parse) {
        let Some(before) = written.iter().find(|before| before.name == row.name) else {
            different.push(format!("not in the sheet: {row}"));
            continue;
        };
        if (&before.exact, &before.limits) != (&row.exact, &row.limits) {
            different.push(format!("in the sheet: {before}\nmeasured:     {row}"));
        }
        let (then, now) = (before.instructions, row.instructions);
        if (now - then).abs() > TOLERATED_INSTRUCTIONS.max(then * TOLERATED / 100.0) {
            println!("changed: {}, {then} to {now} instructions", row.name);
        }
    }
    let is_measured = |row: &Row| costs.contains_key(&row.name);
    different.extend(
        written.iter().filter(|row| !is_measured(row)).map(|row| format!("not measured: {row}")),
    );
    Ok(different)
}

fn no_tables(line: &str) -> io::Error {
    io::Error::other(format!("{FILE} has no line {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let text =
            "| `a`, and b | 1 / 0 | 2 | `recvfrom`, 0.02 `epoll_wait` | 0 | 81 | **1 call** |";
        assert_eq!(Row::parse(text).map(|row| row.to_string()).as_deref(), Some(text));
        assert!(Row::parse("| operation | instructions |").is_none());
    }
}
