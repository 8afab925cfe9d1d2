//! Writes the generated parts of the page.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::catalogue::{self, Entry, Section};
use crate::{shown, tree, unsafe_code};

/// The directories whose tests count.
const DIRECTORIES: [&str; 3] = ["crates", "examples", "benches"];

/// The page as it should be.
pub(crate) struct Page {
    file: PathBuf,
    text: String,
}

impl Page {
    /// Reads the lists and the tests, and replaces the generated parts of the page.
    pub(crate) fn of(root: &Path) -> Result<Page> {
        let tests = tree::tests(root, &DIRECTORIES)?;
        let faults = catalogue::faults(&root.join("proof/faults.txt"))?;
        let shown = shown::tests_of_faults(&faults, &tests)?;
        let promises = catalogue::promises(&root.join("proof/promises.txt"))?;
        shown::check_promises(&promises, &tests)?;
        let tests_of = |entry: &Entry| shown.get(&entry.id).cloned().unwrap_or_default();
        let file = root.join("docs/reliability.md");
        let mut text = fs::read_to_string(&file)?;
        for (part, content) in [
            ("promises", tables(&promises, ["promise"], |entry| entry.tests.clone())),
            ("count", count(&faults)),
            ("unsafe", unsafe_code::sentence(root)?),
            ("faults", tables(&faults, ["id", "fault"], tests_of)),
            ("reasons", reasons(&faults)),
        ] {
            text = replaced(&text, part, &content)?;
        }
        Ok(Page { file, text })
    }

    pub(crate) fn write(&self) -> io::Result<()> {
        fs::write(&self.file, &self.text)
    }

    /// Whether the file is as it would be written.
    #[cfg(test)]
    pub(crate) fn is_written(&self) -> io::Result<bool> {
        Ok(fs::read_to_string(&self.file)? == self.text)
    }
}

/// Replaces what stands between the two comments of a part.
fn replaced(text: &str, part: &str, content: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- {part}: by squall-proof -->"), format!("<!-- /{part} -->"));
    let missing = |comment: &str| format!("the page has no comment {comment}");
    let (head, rest) = text.split_once(&begin).ok_or_else(|| missing(&begin))?;
    let (_, tail) = rest.split_once(&end).ok_or_else(|| missing(&end))?;
    Ok(format!("{head}{begin}\n{content}\n{end}{tail}"))
}

/// A table for each section, without the entries that have no tests. The columns are those before
/// the tests.
fn tables<const COLUMNS: usize>(
    sections: &[Section],
    columns: [&str; COLUMNS],
    tests_of: impl Fn(&Entry) -> Vec<String>,
) -> String {
    let mut text = String::new();
    for section in sections {
        text += &format!("\n### {}\n\n| {} | shown by |\n", section.title, columns.join(" | "));
        text += &format!("|{}\n", "---|".repeat(COLUMNS + 1));
        for entry in section.entries.iter().filter(|entry| entry.no_test.is_none()) {
            let tests: Vec<_> = tests_of(entry).iter().map(|test| format!("`{test}`")).collect();
            let note = entry.note.iter().map(|note| format!("<br>{note}"));
            let tests: String = std::iter::once(tests.join("<br>")).chain(note).collect();
            let id = if COLUMNS == 2 { format!("{} | ", entry.id) } else { String::new() };
            text += &format!("| {id}{} | {tests} |\n", entry.text);
        }
    }
    text
}

fn count(sections: &[Section]) -> String {
    let entries = || sections.iter().flat_map(|section| &section.entries);
    let all = entries().count();
    let untested = entries().filter(|entry| entry.no_test.is_some()).count();
    format!(
        "{all} faults are listed. {} have a test, and {untested} a reason why they need none.",
        all - untested
    )
}

fn reasons(sections: &[Section]) -> String {
    let entries = sections.iter().flat_map(|section| &section.entries);
    let reason = |entry: &Entry| {
        let no_test = entry.no_test.as_ref()?;
        Some(format!("- **{}, {}**: {no_test}\n", entry.id, entry.text))
    };
    entries.filter_map(reason).collect()
}
