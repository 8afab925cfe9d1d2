//! Fuzzes the connections of an HTTP server: see `squall_fuzz::connection`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| squall_fuzz::connection::check(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    squall_fuzz::replay::arguments(squall_fuzz::connection::check)
}
