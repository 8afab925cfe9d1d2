//! Runs this program under strace, which counts system calls.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::cost::Cost;
use crate::directory::Directory;
use crate::meter::{Label, MARK_PATH};
use crate::runs::labels_of;

/// Counts system calls by name.
pub(crate) fn measure(program: &Path, only: &[String]) -> io::Result<Vec<(Label, Cost)>> {
    let directory = Directory::new()?;
    let file = directory.path().join("strace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "--signal=none", "-o"]).arg(&file);
    let labels = labels_of(command, program, only)?;
    let text = fs::read(&file)?;
    let runs = runs(&String::from_utf8_lossy(&text));
    if runs.len() != labels.len() {
        let (marked, printed) = (runs.len(), labels.len());
        return Err(io::Error::other(format!("strace shows {marked} runs of {printed}")));
    }
    Ok(labels.into_iter().zip(runs).collect())
}

/// The calls between each two marks.
fn runs(text: &str) -> Vec<Cost> {
    let mut runs = Vec::new();
    let mut current = None::<Cost>;
    for line in text.lines() {
        if line.contains(MARK_PATH) {
            match current.take() {
                Some(run) => runs.push(run),
                None => current = Some(Cost::default()),
            }
        } else if let (Some(run), Some(name)) = (&mut current, called(line)) {
            *run.calls.entry(name.to_owned()).or_default() += 1.0;
        }
    }
    runs
}

/// Calls that are not counted. The number of waits for a lock depends on which of two threads is
/// faster. The others are those of `malloc`, which are a matter of the C library.
const NOT_COUNTED: [&str; 6] = ["futex", "brk", "mmap", "munmap", "mprotect", "madvise"];

/// The call that begins in a line.
fn called(line: &str) -> Option<&str> {
    let (_process, call) = line.split_once(' ')?;
    let (name, _) = call.trim_start().split_once('(')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !NOT_COUNTED.contains(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_between_marks_are_counted_once_each() {
        let text = format!(
            "7  brk(NULL) = 0x1\n7  statx(AT_FDCWD, \"{MARK_PATH}\", 0) = -1\n\
             7  write(3, \"a(b\", 3 <unfinished ...>\n8  futex(0x1) = 0\n7  <... write resumed>) = 3\n\
             7  write(3, \"\", 0) = 0\n7  statx(AT_FDCWD, \"{MARK_PATH}\", 0) = -1\n8  close(3) = 0\n"
        );
        let counted: Vec<_> = runs(&text).into_iter().map(|run| run.calls).collect();
        assert_eq!(counted, [[("write".to_owned(), 2.0)].into()]);
    }
}
