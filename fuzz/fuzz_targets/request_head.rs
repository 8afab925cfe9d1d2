//! Fuzzes heads of requests: see `squall_fuzz::request_head`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| squall_fuzz::request_head::check(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    squall_fuzz::replay::arguments(squall_fuzz::request_head::check)
}
