//! Finds the tests of each claim.

use std::collections::{BTreeMap, BTreeSet};

use crate::Result;
use crate::catalogue::{Entry, Section};
use crate::tree::Test;

/// The first letters of ids of faults.
const LETTERS: &str = "WSTRIPXLH";

/// The tests by the ids of the faults in their comments.
///
/// # Errors
/// A list of all that is wrong: an id that no test names and that is not explained either, a test
/// whose id does not exist, an id that stands twice in the list.
pub(crate) fn tests_of_faults(
    sections: &[Section],
    tests: &[Test],
) -> Result<BTreeMap<String, Vec<String>>> {
    let entries = || sections.iter().flat_map(|section| &section.entries);
    let mut wrong = Vec::new();
    let mut known = BTreeSet::new();
    for entry in entries().filter(|entry| !known.insert(entry.id.as_str())) {
        wrong.push(format!("{} stands twice in the list", entry.id));
    }
    let mut shown = BTreeMap::<String, Vec<String>>::new();
    for test in tests {
        for id in test.words.iter().filter(|word| is_id(word)) {
            if !known.contains(id.as_str()) {
                wrong.push(format!("{} names {id}, which does not exist", test.name));
            }
            let tests = shown.entry(id.clone()).or_default();
            if !tests.contains(&test.name) {
                tests.push(test.name.clone());
            }
        }
    }
    wrong.extend(entries().filter_map(|entry| contradiction(entry, shown.contains_key(&entry.id))));
    if wrong.is_empty() { Ok(shown) } else { Err(wrong.join("\n").into()) }
}

fn contradiction(entry: &Entry, has_test: bool) -> Option<String> {
    match (has_test, &entry.no_test) {
        (false, None) => Some(format!("no test names {}: {}", entry.id, entry.text)),
        (true, Some(_)) => Some(format!("{} has a test, and a reason why it needs none", entry.id)),
        _ => None,
    }
}

/// Whether a word is an id such as `W1`.
fn is_id(word: &str) -> bool {
    let mut letters = word.chars();
    let begins = letters.next().is_some_and(|letter| LETTERS.contains(letter));
    begins && word.len() > 1 && letters.all(|letter| letter.is_ascii_digit())
}

/// Checks that the tests exist which the promises name.
///
/// # Errors
/// A list of those that do not exist, and of promises without a test.
pub(crate) fn check_promises(sections: &[Section], tests: &[Test]) -> Result<()> {
    let names: BTreeSet<_> = tests.iter().map(|test| test.name.as_str()).collect();
    let mut wrong = Vec::new();
    for entry in sections.iter().flat_map(|section| &section.entries) {
        if entry.tests.is_empty() {
            wrong.push(format!("no test is named for: {}", entry.text));
        }
        for test in entry.tests.iter().filter(|test| !names.contains(test.as_str())) {
            wrong.push(format!("the test {test} does not exist: {}", entry.text));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, no_test: Option<&str>) -> Entry {
        let no_test = no_test.map(str::to_owned);
        Entry {
            id: id.to_owned(),
            text: "a fault".to_owned(),
            note: None,
            no_test,
            tests: Vec::new(),
        }
    }

    fn check(entries: Vec<Entry>, words: &[&str]) -> std::result::Result<usize, String> {
        let sections = [Section { title: String::new(), entries }];
        let words = words.iter().map(ToString::to_string).collect();
        let tests = [Test { name: "file::test".to_owned(), words }];
        tests_of_faults(&sections, &tests)
            .map(|shown| shown.len())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_id_is_shown_by_the_test_that_names_it() {
        assert_eq!(check(vec![entry("W1", None)], &["W1", "IOL-X2", "HTTP"]), Ok(1));
    }

    #[test]
    fn a_claim_without_a_test_is_an_error() {
        let outcome = check(vec![entry("W1", None), entry("W2", None)], &["W1"]);
        assert_eq!(outcome, Err("no test names W2: a fault".to_owned()));
    }

    #[test]
    fn a_test_of_an_unknown_id_is_an_error() {
        let outcome = check(vec![entry("W1", None)], &["W1", "W99"]);
        assert_eq!(outcome, Err("file::test names W99, which does not exist".to_owned()));
    }

    #[test]
    fn a_reason_in_place_of_a_test_is_enough_and_beside_one_too_much() {
        assert_eq!(check(vec![entry("W1", Some("it cannot happen"))], &[]), Ok(0));
        assert!(check(vec![entry("W1", Some("it cannot happen"))], &["W1"]).is_err());
    }

    #[test]
    fn a_promise_needs_a_test_that_exists() {
        let promise = |tests: &[&str]| {
            let tests = tests.iter().map(ToString::to_string).collect();
            let entries = vec![Entry { tests, ..entry("", None) }];
            let known = [Test { name: "file::test".to_owned(), words: Vec::new() }];
            check_promises(&[Section { title: String::new(), entries }], &known)
        };
        assert!(promise(&["file::test"]).is_ok());
        assert!(promise(&["file::another"]).is_err());
        assert!(promise(&[]).is_err());
    }
}
