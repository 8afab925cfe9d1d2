//! The clocks and the random bytes of the standard library, on the thread of a simulation. Feature
//! `sim-std`.
//!
//! std calls the C library's `clock_gettime` and `getrandom`. This file defines both, so the linker
//! takes these and not the C library's. On a thread that runs a simulation they answer from its time
//! and its seed. On every other thread they make the system call.

#![allow(unsafe_code, reason = "two functions of the C library are replaced")]

use std::cell::Cell;

use libc::{c_int, c_long, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};

/// What the clocks show when a simulation begins, in nanoseconds: the boot was long ago.
const BOOT: u64 = 1_000_000 * SECOND;
/// The date when a simulation begins: 2000-01-01 00:00:00 UTC, since 1970.
const DATE: u64 = 946_684_800 * SECOND;
const SECOND: u64 = 1_000_000_000;

thread_local! {
    /// The time since the simulation of this thread began. `None` if there is none.
    static TIME: Cell<Option<u64>> = const { Cell::new(None) };
    static RANDOM: Cell<u64> = const { Cell::new(0) };
    /// The number of simulations of this thread.
    static SIMULATIONS: Cell<u32> = const { Cell::new(0) };
}

/// A simulation begins: from here on, this thread has simulated time and random bytes.
pub(crate) fn begin(seed: u64) {
    SIMULATIONS.set(SIMULATIONS.get() + 1);
    TIME.set(Some(0));
    RANDOM.set(seed);
}

/// Sets the time to that of the simulation whose code runs.
pub(crate) fn set_time(nanos: u64) {
    if SIMULATIONS.get() > 0 {
        TIME.set(Some(nanos));
    }
}

/// A simulation ends. After the last, this thread has the system's time and random bytes again.
pub(crate) fn end() {
    SIMULATIONS.set(SIMULATIONS.get() - 1);
    if SIMULATIONS.get() == 0 {
        TIME.set(None);
    }
}

/// The simulated time of a clock. `None` for the system's: on another thread, or for a clock that
/// counts work.
fn time_of(clock: clockid_t) -> Option<u64> {
    let since_start = TIME.get()?;
    match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => Some(DATE + since_start),
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_BOOTTIME => Some(BOOT + since_start),
        _ => None,
    }
}

/// Draws the next number: the generator splitmix64.
fn draw() -> u64 {
    let state = RANDOM.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    RANDOM.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// As `clock_gettime(2)`.
///
/// # Safety
/// As there: `time` is valid for a write.
// SAFETY: this is the C library's signature, and whoever calls this function can call that one.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let Some(nanos) = time_of(clock) else {
        let clock = c_long::from(clock);
        // SAFETY: the caller's pointer is passed on unchanged.
        let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        return c_int::try_from(result).unwrap_or(-1);
    };
    let in_range = |nanos: u64| c_long::try_from(nanos).unwrap_or(c_long::MAX);
    let value = timespec { tv_sec: in_range(nanos / SECOND), tv_nsec: in_range(nanos % SECOND) };
    // SAFETY: the caller guarantees that the pointer is valid for a write.
    unsafe { time.write(value) };
    0
}

/// As `getrandom(2)`.
///
/// # Safety
/// As there: `buffer` is valid for `len` bytes.
// SAFETY: as above.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    if TIME.get().is_none() {
        // SAFETY: the caller's pointer and length are passed on unchanged.
        let result = unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) };
        return ssize_t::try_from(result).unwrap_or(-1);
    }
    let mut word = [0; 8];
    for n in 0..len {
        if n % 8 == 0 {
            word = draw().to_le_bytes();
        }
        // SAFETY: `n` is below `len`, and the caller guarantees that so many bytes may be written.
        unsafe { buffer.cast::<u8>().wrapping_add(n).write(word[n % 8]) };
    }
    ssize_t::try_from(len).unwrap_or(ssize_t::MAX)
}
