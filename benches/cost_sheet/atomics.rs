//! Finds the read-modify-write instructions of a program.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::process::Command;

/// Returns the addresses of the atomic read-modify-writes, by objdump. On x86-64 they have the
/// prefix `lock`, or are an `xchg` with memory, which needs no prefix. Plain loads and stores are
/// not among them: they cost no more than others.
pub(crate) fn addresses(program: &Path) -> io::Result<HashSet<u64>> {
    let mut command = Command::new("objdump");
    command.args(["--disassemble", "--no-show-raw-insn"]).arg(program);
    let output = command
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot start objdump: {error}")))?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(atomic).collect())
}

/// The address in a line of objdump's, if the instruction is atomic.
fn atomic(line: &str) -> Option<u64> {
    let (address, instruction) = line.split_once(":\t")?;
    let is_atomic = instruction.starts_with("lock ")
        || (instruction.starts_with("xchg") && instruction.contains('('));
    is_atomic.then(|| u64::from_str_radix(address.trim(), 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_instructions_and_exchanges_with_memory_are_atomic() {
        assert_eq!(atomic("   7a10:\tlock xadd %rax,(%rdi)"), Some(0x7a10));
        assert_eq!(atomic("   7a14:\txchg   %al,0x10(%rbx)"), Some(0x7a14));
        assert_eq!(atomic("   7a18:\txchg   %ax,%ax"), None); // pads
        assert_eq!(atomic("   7a1a:\tmov    %rax,(%rdi)"), None);
        assert_eq!(atomic("0000000000007a10 <main>:"), None);
    }
}
