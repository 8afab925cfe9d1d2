//! What a crawl has found.

use std::fmt::Write;
use std::time::Duration;

/// The dead links that a summary lists. The others are counted.
const LISTED: usize = 20;

/// The result of a crawl.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Pages that were fetched.
    pub(crate) pages: usize,
    /// The bytes of HTML together.
    pub(crate) bytes: usize,
    pub(crate) dead: Vec<DeadLink>,
    /// Pages that were found but not fetched, because there were enough.
    pub(crate) beyond_limit: usize,
}

/// A link to a page that cannot be fetched.
#[derive(Debug)]
pub(crate) struct DeadLink {
    pub(crate) url: String,
    /// The page with the first link to it.
    pub(crate) found_on: String,
    pub(crate) why: String,
}

impl Report {
    /// A text for the user.
    pub(crate) fn summary(&self, url: &str, time: Duration, is_complete: bool) -> String {
        let rate = self.pages as f64 / time.as_secs_f64().max(0.001);
        let mut text = format!(
            "{url}: {}, {} kB of HTML in {:.2} s ({rate:.0} pages/s), {}.{}",
            counted(self.pages, "page"),
            self.bytes / 1000,
            time.as_secs_f64(),
            counted(self.dead.len(), "dead link"),
            if is_complete { "" } else { " Interrupted." },
        );
        // Writing to a string cannot fail.
        for DeadLink { url, found_on, why } in self.dead.iter().take(LISTED) {
            let _ = write!(text, "\n  {url}: {why} (on {found_on})");
        }
        if self.dead.len() > LISTED {
            let _ = write!(text, "\n  and {} more", self.dead.len() - LISTED);
        }
        if self.beyond_limit > 0 {
            let _ = write!(text, "\n{} pages more were found (see --pages).", self.beyond_limit);
        }
        text
    }
}

/// A number and its noun.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
