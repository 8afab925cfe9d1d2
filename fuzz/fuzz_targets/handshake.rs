//! Fuzzes the opening handshake of the chat's WebSockets: see `squall_fuzz::handshake`.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|input: &[u8]| squall_fuzz::handshake::check(input));

#[cfg(not(fuzzing))]
fn main() -> std::io::Result<()> {
    squall_fuzz::replay::arguments(squall_fuzz::handshake::check)
}
