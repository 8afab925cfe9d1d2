//! A process that measures itself and prints numbers.

use std::io;
use std::process::Command;
use std::str::FromStr;

/// Runs the lab with these arguments, and returns the `N` numbers that it prints.
pub(crate) fn numbers<T: FromStr, const N: usize>(arguments: &[String]) -> io::Result<[T; N]> {
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Option<Vec<T>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
    numbers.and_then(|numbers| numbers.try_into().ok()).ok_or_else(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        let arguments = arguments.join(" ");
        io::Error::other(format!("`{arguments}` has printed {text:?} and {errors:?}"))
    })
}
