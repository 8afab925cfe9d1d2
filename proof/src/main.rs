//! Writes the tables of `docs/reliability.md`: `cargo run -p squall-proof`.
//!
//! `faults.txt` lists the faults and `promises.txt` the promises. A test shows that a fault cannot
//! happen if the fault's id stands in the comment above the test. The test of this program fails if
//! a claim has no test, if a test names an id that does not exist, or if the page is not as it would
//! be written.

mod catalogue;
mod page;
mod shown;
mod tree;
mod unsafe_code;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use page::Page;

fn main() -> ExitCode {
    let result = Page::of(&root()).and_then(|page| page.write().map_err(Box::from));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The directory of the workspace.
fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_claim_of_the_page_has_a_test() -> Result<()> {
        let page = Page::of(&root())?;
        assert!(
            page.is_written()?,
            "docs/reliability.md is out of date: cargo run -p squall-proof"
        );
        Ok(())
    }
}
