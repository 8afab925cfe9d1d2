//! Counts the unsafe code of the three crates.

use std::fs;
use std::path::Path;

use crate::Result;
use crate::tree;

/// How far above its code a `SAFETY` note may end: the code may begin in the middle of a statement.
const LINES_BETWEEN: usize = 8;

/// A sentence with the number of unsafe blocks and implementations.
///
/// # Errors
/// If one has no note.
pub(crate) fn sentence(root: &Path) -> Result<String> {
    let (mut sites, mut files) = (0, 0);
    for name in ["reactor", "executor", "net"] {
        for file in tree::files(&root.join(format!("crates/{name}/src")))? {
            let in_file = sites_in(&fs::read_to_string(&file)?)
                .map_err(|line| format!("{}:{line}: no SAFETY note", file.display()))?;
            sites += in_file;
            files += usize::from(in_file > 0);
        }
    }
    Ok(format!(
        "The three crates have {sites} unsafe blocks and implementations, in {files} files. Each has a `SAFETY` note."
    ))
}

/// Returns the number of unsafe blocks and implementations, or the line of one without a note.
fn sites_in(text: &str) -> std::result::Result<usize, usize> {
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let is_site = |line: &&str| {
        !line.starts_with("//") && (line.contains("unsafe {") || line.contains("unsafe impl"))
    };
    let has_note = |index: usize| {
        let above = &lines[index.saturating_sub(LINES_BETWEEN)..index];
        above.iter().any(|line| line.contains("SAFETY:"))
    };
    let sites = || lines.iter().enumerate().filter(|(_, line)| is_site(line));
    match sites().find(|(index, _)| !has_note(*index)) {
        Some((index, _)) => Err(index + 1),
        None => Ok(sites().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_code_needs_a_note() {
        assert_eq!(sites_in("// SAFETY: it is.\nlet a = unsafe { f() };\n// unsafe {\n"), Ok(1));
        assert_eq!(sites_in("fn f() {\n    unsafe { g() }\n}\n"), Err(2));
    }
}
