//! Checks inputs without a fuzzer.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Checks the inputs that the arguments of this program name: files, or directories of files.
///
/// # Errors
/// A file cannot be read.
pub fn arguments(check: fn(&[u8])) -> io::Result<()> {
    for path in env::args_os().skip(1).map(PathBuf::from) {
        let count = inputs(&path, check)?;
        writeln!(io::stdout(), "{}: {count} checked", path.display())?;
    }
    Ok(())
}

/// Checks a file, or every file of a directory, and returns their number.
///
/// # Errors
/// A file cannot be read.
pub fn inputs(path: &Path, check: fn(&[u8])) -> io::Result<usize> {
    if !path.is_dir() {
        check_named(path, check)?;
        return Ok(1);
    }
    let mut files: Vec<_> =
        fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.sort();
    for file in &files {
        check_named(file, check)?;
    }
    Ok(files.len())
}

/// Checks a file, and prints its name if the check panics.
fn check_named(file: &Path, check: fn(&[u8])) -> io::Result<()> {
    struct Named<'a>(&'a Path);
    impl Drop for Named<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let _ = writeln!(io::stderr(), "the input is {}", self.0.display());
            }
        }
    }
    let input = fs::read(file)?;
    let _named = Named(file);
    check(&input);
    Ok(())
}
