//! Runs this program under callgrind, which counts executed instructions by their addresses, and
//! calls by the functions' names. So one run gives instructions, atomics, allocations and clock
//! reads, and the program itself counts nothing.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::atomics;
use crate::cost::Cost;
use crate::directory::Directory;
use crate::meter::{Label, MARK_FUNCTION};
use crate::runs::labels_of;

/// Counts everything but system calls.
pub(crate) fn measure(program: &Path, only: &[String]) -> io::Result<Vec<(Label, Cost)>> {
    let directory = Directory::new()?;
    let file = directory.path().join("callgrind");
    let mut command = Command::new("valgrind");
    command.args(["-q", "--tool=callgrind", "--dump-instr=yes"]);
    command.args(["--compress-pos=no", "--compress-strings=no"]);
    command.arg(format!("--dump-before={MARK_FUNCTION}"));
    command.arg(format!("--callgrind-out-file={}", file.display()));
    let labels = labels_of(command, program, only)?;
    let atomics = atomics::addresses(program)?;
    let program = program.display().to_string();
    let counted = labels.into_iter().enumerate().map(|(nth, label)| {
        // Each run has two marks. What is counted before the second one is in the second dump.
        let dump = format!("{}.{}", file.display(), 2 * nth + 2);
        let text = fs::read(&dump)?;
        Ok((label, count(&String::from_utf8_lossy(&text), &program, &atomics)))
    });
    counted.collect()
}

/// Sums up a file of callgrind's. Counts the calls from `program` to the C library, but not those
/// that the C library makes itself, which differ from version to version.
fn count(text: &str, program: &str, atomics: &HashSet<u64>) -> Cost {
    let mut cost = Cost::default();
    let (mut is_program, mut callee) = (false, "");
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(object) = line.strip_prefix("ob=") {
            is_program = object == program;
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = name.split(['@', '\'']).next().unwrap_or(name);
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let calls = calls.split(' ').next().and_then(|count| count.parse().ok());
            if is_program {
                count_calls(&mut cost, callee, calls.unwrap_or(0.0));
            }
            lines.next(); // what the callee has cost is counted with its own instructions
        } else if let Some(position) = line.strip_prefix("0x") {
            let mut words = position.split(' ');
            let address = words.next().and_then(|address| u64::from_str_radix(address, 16).ok());
            let executed = words.nth(1).and_then(|count| count.parse().ok()).unwrap_or(0.0);
            cost.instructions += executed;
            if is_program && address.is_some_and(|address| atomics.contains(&address)) {
                cost.atomics += executed;
            }
        }
    }
    cost
}

fn count_calls(cost: &mut Cost, callee: &str, calls: f64) {
    match callee {
        "malloc" | "calloc" | "posix_memalign" | "aligned_alloc" => cost.allocations += calls,
        "free" => cost.frees += calls,
        "realloc" => {
            cost.allocations += calls;
            cost.frees += calls;
        }
        "clock_gettime" => cost.clock_reads += calls,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_atomics_and_calls_of_the_program_are_counted() {
        let text = "\
            ob=/bin/program\nfl=a.rs\nfn=main\n0x10 1 5\n0x14 1 2\ncob=/lib/libc.so\ncfn=malloc\n\
            calls=3 0x99 1\n0x18 2 700\n\nob=/lib/libc.so\nfn=malloc\n0x14 1 40\ncfn=free'2\n\
            calls=9 0x20 1\n0x21 1 9\n";
        let expected =
            Cost { instructions: 47.0, allocations: 3.0, atomics: 2.0, ..Cost::default() };
        assert_eq!(count(text, "/bin/program", &HashSet::from([0x14])), expected);
    }
}
