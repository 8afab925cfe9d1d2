//! Random names.

use std::io;

/// 128 random bits of the kernel, as 32 hexadecimal digits: a name that cannot be guessed.
///
/// # Errors
/// If the kernel has none to give.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::from)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
