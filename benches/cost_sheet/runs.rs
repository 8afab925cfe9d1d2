//! Runs the operations in a process under a tool.

use std::io;
use std::path::Path;
use std::process::Command;

use crate::meter::Label;

/// Lets `tool` run the operations of this program, and returns the labels of the runs that were
/// measured. `only`: the names of operations; none stands for all.
pub(crate) fn labels_of(
    mut tool: Command,
    program: &Path,
    only: &[String],
) -> io::Result<Vec<Label>> {
    let name = tool.get_program().to_string_lossy().into_owned();
    let output = tool.arg(program).arg("run").args(only).output();
    let output = output
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start {name}: {error}")))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        // Without what valgrind writes about system calls that it does not know.
        errors.lines().filter(|line| !line.starts_with("--")).for_each(|line| eprintln!("{line}"));
        return Err(io::Error::other(format!("the operations under {name}: {}", output.status)));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    lines
        .lines()
        .map(|line| Label::parse(line).ok_or_else(|| io::Error::other(format!("no label: {line}"))))
        .collect()
}
