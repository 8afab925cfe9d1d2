//! Puts the tables of a report into a page, between lines that mark their places.
//!
//! `<!-- lab: echo -->` begins the place of the table `echo`, and `<!-- /lab -->` ends it. The place
//! `origin` gets the machine and the run.

use crate::report::Report;

const BEGIN: &str = "<!-- lab: ";
const BEGIN_END: &str = " -->";
const END: &str = "<!-- /lab -->";

/// A page with new tables.
#[derive(Debug, PartialEq)]
pub(crate) struct Page {
    pub(crate) text: String,
    /// The places that keep what they had, because the report has no such table.
    pub(crate) kept: Vec<String>,
}

impl Page {
    /// Replaces the text of every marked place.
    ///
    /// # Errors
    /// A place has no end.
    pub(crate) fn with(report: &Report, old: &str) -> Result<Page, String> {
        let mut page = Page { text: String::new(), kept: Vec::new() };
        let mut lines = old.lines();
        while let Some(line) = lines.next() {
            page.push(line);
            let name = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(BEGIN_END));
            let Some(name) = name else { continue };
            let mut former = Vec::new();
            loop {
                match lines.next() {
                    Some(END) => break,
                    Some(line) => former.push(line),
                    None => return Err(format!("the place of {name} has no end")),
                }
            }
            match text_of(report, name) {
                Some(text) => page.text.push_str(&format!("\n{text}\n")),
                None => {
                    former.iter().for_each(|line| page.push(line));
                    page.kept.push(name.to_owned());
                }
            }
            page.push(END);
        }
        Ok(page)
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }
}

fn text_of(report: &Report, name: &str) -> Option<String> {
    match name {
        "origin" => Some(report.origin()),
        name => report.table(name).map(|table| table.markdown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::table::{Cell, Table};

    const OLD: &str = "\
before
<!-- lab: echo -->
an old table
<!-- /lab -->
between
<!-- lab: http -->
kept
<!-- /lab -->
after
";

    fn report() -> Report {
        let mut table = Table::new("echo", "64 bytes", "server").column("CPU", "µs", 1);
        table.row("raw", vec![Cell::once(1.5)]);
        Report { tables: vec![table], ..Report::new(&Plan::default()) }
    }

    #[test]
    fn only_the_marked_places_of_measured_tables_change() {
        let page = Page::with(&report(), OLD).unwrap();
        let table = "\n| server | CPU, µs |\n|---|---|\n| raw | 1.5 |\n\n";
        assert_eq!(page.text, OLD.replace("an old table\n", table));
        assert_eq!(page.kept, ["http"]);
        assert_eq!(Page::with(&report(), &page.text).unwrap().text, page.text);
    }

    #[test]
    fn a_place_without_an_end_is_an_error() {
        assert!(Page::with(&report(), "<!-- lab: echo -->\n").is_err());
    }
}
