//! The short form of the sweep, and a proof that it finds what it looks for.

use std::process::{Command, Output};

/// The least that the table must count. A thousand are tried; a few are not reached.
const POINTS: usize = 650;

/// Runs the sweep. `None` if this machine cannot.
fn sweep(arguments: &[&str]) -> Option<(bool, String)> {
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("skipped: the sweep knows the registers of x86-64 only");
        return None;
    }
    let sweep = Command::new(env!("CARGO_BIN_EXE_sweep")).args(arguments).output();
    let Output { status, stdout, stderr } = sweep.expect("the program runs");
    let text = format!("{}{}", String::from_utf8_lossy(&stderr), String::from_utf8_lossy(&stdout));
    if !status.success() && text.contains("PermissionDenied") {
        eprintln!("skipped: no program may be traced here");
        return None;
    }
    Some((status.success(), text))
}

// R3, R4, R7, R10, R13, R14, X10
#[test]
fn every_failing_system_call_has_a_defined_outcome() {
    let Some((is_success, text)) = sweep(&[]) else { return };
    assert!(is_success, "{text}");
    let last = text.lines().last().expect("a summary");
    let points: usize = last.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert!(points >= POINTS, "{last}");
}

#[test]
fn a_leak_a_panic_a_hang_and_a_silent_loss_are_found() {
    let cases = [
        ("faulty: a leak", "Leak(\"Left { descriptors: 2,"),
        ("faulty: a panic", "Panic("),
        ("faulty: a hang", "Hang("),
        ("faulty: a silent loss", "steps were lost without an error"),
    ];
    for (scenario, failure) in cases {
        let arguments = ["--scenario", scenario, "--only", "bind 1, EACCES"];
        let Some((is_success, text)) = sweep(&arguments) else { return };
        assert!(!is_success && text.contains(failure), "{scenario}: {text}");
        assert!(text.ends_with("1 points, 1 without a defined outcome\n"), "{scenario}: {text}");
    }
}
