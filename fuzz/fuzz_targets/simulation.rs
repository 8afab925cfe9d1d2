//! Fuzzes simulated hosts: see `squall_fuzz::simulation`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| squall_fuzz::simulation::check(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    squall_fuzz::replay::arguments(squall_fuzz::simulation::check)
}
