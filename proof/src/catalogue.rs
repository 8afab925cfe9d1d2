//! Reads the lists of faults and promises.
//!
//! ```text
//! # A heading
//! W1 a sentence
//!     note: what is to be said beside the tests
//!     no test: why none is needed
//! ```

use std::fs;
use std::path::Path;

use crate::Result;

/// A heading of the page, with what stands below it.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    /// Empty for a promise, whose tests are named.
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) note: Option<String>,
    /// Why it needs no test.
    pub(crate) no_test: Option<String>,
    /// The tests that are named.
    pub(crate) tests: Vec<String>,
}

/// Reads a list of faults, whose lines begin with ids.
pub(crate) fn faults(file: &Path) -> Result<Vec<Section>> {
    read(file, |line| {
        let (id, text) = line.split_once(' ').ok_or("an id has no text")?;
        Ok((id.to_owned(), text.to_owned()))
    })
}

/// Reads a list of promises.
pub(crate) fn promises(file: &Path) -> Result<Vec<Section>> {
    read(file, |line| Ok((String::new(), line.to_owned())))
}

fn read(file: &Path, begin: impl Fn(&str) -> Result<(String, String)>) -> Result<Vec<Section>> {
    let mut sections = Vec::<Section>::new();
    for (number, line) in fs::read_to_string(file)?.lines().enumerate() {
        let added = add(&mut sections, line, &begin);
        added.map_err(|error| format!("{}:{}: {error}", file.display(), number + 1))?;
    }
    Ok(sections)
}

fn add(
    sections: &mut Vec<Section>,
    line: &str,
    begin: impl Fn(&str) -> Result<(String, String)>,
) -> Result<()> {
    if line.is_empty() {
        return Ok(());
    }
    if let Some(title) = line.strip_prefix("# ") {
        sections.push(Section { title: title.to_owned(), entries: Vec::new() });
        return Ok(());
    }
    let entries = &mut sections.last_mut().ok_or("no heading")?.entries;
    let Some(detail) = line.strip_prefix("    ") else {
        let (id, text) = begin(line)?;
        entries.push(Entry { id, text, note: None, no_test: None, tests: Vec::new() });
        return Ok(());
    };
    let entry = entries.last_mut().ok_or("a detail of nothing")?;
    match detail.split_once(": ") {
        Some(("note", text)) => entry.note = Some(text.to_owned()),
        Some(("no test", text)) => entry.no_test = Some(text.to_owned()),
        Some(("test", name)) => entry.tests.push(name.to_owned()),
        _ => return Err(format!("neither `note`, `no test` nor `test`: {detail}").into()),
    }
    Ok(())
}
