//! A run makes no system call from its first event to its last.

use std::process::Command;

#[test]
fn a_run_makes_no_system_call() {
    let program = env!("CARGO_BIN_EXE_simulation_bench");
    let traced =
        Command::new("strace").args(["-f", "-o", "/dev/stdout", program, "marked"]).output();
    let output = match traced {
        Ok(output) if output.status.success() => output.stdout,
        _ => return println!("skipped: no strace to count system calls with"),
    };
    let output = String::from_utf8_lossy(&output);
    let mut lines = output.lines().skip_while(|line| !line.contains("the first event"));
    assert!(lines.next().is_some(), "the run begins:\n{output}");
    let calls: Vec<_> = lines.take_while(|line| !line.contains("the last event")).collect();
    assert!(output.contains("the last event"), "the run ends:\n{output}");
    assert_eq!(calls, Vec::<&str>::new());
}
