//! Finds the tests of the tree, with the comments above them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A test, and the words of the comment above it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// The file's name and the function's: `fork::wakers_and_handles_do_nothing_in_a_child`.
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
}

/// Reads all tests below these directories of the workspace, in the order of their files.
pub(crate) fn tests(root: &Path, directories: &[&str]) -> io::Result<Vec<Test>> {
    let mut tests = Vec::new();
    for directory in directories {
        for file in files(&root.join(directory))? {
            tests.extend(tests_of(&module_of(&file), &fs::read_to_string(&file)?));
        }
    }
    Ok(tests)
}

/// The Rust files below a directory, in order.
pub(crate) fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    add_files(directory, &mut files)?;
    files.sort();
    Ok(files)
}

fn add_files(directory: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            add_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// The name of a file without its extension. That of the directory for `main.rs` and `mod.rs`.
fn module_of(file: &Path) -> String {
    let stem = file.file_stem();
    let name = match stem.and_then(|stem| stem.to_str()) {
        Some("main" | "mod" | "tests") => file.parent().and_then(Path::file_name),
        _ => stem,
    };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// The tests in the text of a file.
fn tests_of(module: &str, text: &str) -> Vec<Test> {
    let (mut tests, mut words, mut has_attribute) = (Vec::new(), Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("// ") {
            words.extend(words_of(comment));
            continue;
        }
        if line.starts_with("#[") {
            has_attribute |= line == "#[test]";
            continue;
        }
        let listed = line.strip_prefix("(\"").and_then(|rest| Some(rest.split_once("\", ")?.0));
        let listed = listed
            .filter(|name| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()));
        let function = function_of(line).filter(|name| {
            // Cases that run over several transports are passed to a macro.
            has_attribute || text.contains(&format!("!({name})"))
        });
        if let Some(name) = listed.or(function) {
            tests.push(Test { name: format!("{module}::{name}"), words: words.clone() });
        }
        (words, has_attribute) = (Vec::new(), false);
    }
    tests
}

/// The function that a line begins.
fn function_of(line: &str) -> Option<&str> {
    let (before, rest) = line.split_once("fn ")?;
    let is_function = ["", "async ", "pub(super) async ", "pub(super) "].contains(&before);
    is_function.then(|| rest.split(['(', '<']).next()).flatten()
}

/// The words of a comment. `IOL-X1` is one word.
fn words_of(comment: &str) -> impl Iterator<Item = String> {
    let words = comment.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_in_all_their_forms() {
        let text = "\
            // W1, IOL-X2\n#[cfg(unix)]\n#[test]\nfn one() {}\n\
            // W2\nfn helper() {}\n\
            \n#[test]\nfn two() {}\n\
            // X8\n(\"three\", three),\n\
            // I3\npub(super) async fn four(a: A) {}\nboth_ways!(four);\n";
        let found: Vec<_> = tests_of("file", text)
            .into_iter()
            .map(|test| (test.name, test.words.join(" ")))
            .collect();
        let expected = [
            ("file::one", "W1 IOL-X2"),
            ("file::two", ""),
            ("file::three", "X8"),
            ("file::four", "I3"),
        ];
        assert_eq!(found, expected.map(|(name, words)| (name.to_owned(), words.to_owned())));
    }
}
