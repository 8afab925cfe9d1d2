//! Fuzzes timers: see `squall_fuzz::timers`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| squall_fuzz::timers::check(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    squall_fuzz::replay::arguments(squall_fuzz::timers::check)
}
