//! What a program notes about its run: the steps that it has completed, the errors that it got, and
//! the lines that squall logged.

use std::fmt::{self, Write};
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// The most bytes of notes. They are reserved at the start, so that a note changes no count of live
/// bytes.
const CAPACITY: usize = 16 << 10;

static JOURNAL: Mutex<Journal> =
    Mutex::new(Journal { notes: String::new(), steps: 0, errors: 0, logged: 0, faults: 0 });

struct Journal {
    notes: String,
    steps: usize,
    errors: usize,
    logged: usize,
    faults: usize,
}

/// What was noted since the last [`clear`].
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) steps: usize,
    pub(crate) errors: usize,
    pub(crate) logged: usize,
    pub(crate) faults: usize,
}

fn journal() -> MutexGuard<'static, Journal> {
    JOURNAL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    fn note(&mut self, line: fmt::Arguments<'_>) {
        let mut room = Room { notes: &mut self.notes };
        let _ = writeln!(room, "{line}"); // a full journal keeps its first lines
    }
}

/// Appends to the notes as long as they need no new memory.
struct Room<'a> {
    notes: &'a mut String,
}

impl Write for Room<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.notes.len() + text.len() > self.notes.capacity() {
            return Err(fmt::Error);
        }
        self.notes.push_str(text);
        Ok(())
    }
}

/// Makes this the log of squall's crates.
pub(crate) fn install() {
    journal().notes.reserve_exact(CAPACITY);
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

pub(crate) fn clear() {
    let mut journal = journal();
    journal.notes.clear();
    (journal.steps, journal.errors, journal.logged, journal.faults) = (0, 0, 0, 0);
}

/// The steps that the program has completed.
pub(crate) fn steps(completed: usize) {
    journal().steps += completed;
}

/// An error that squall has returned to the program.
pub(crate) fn error(what: &str, error: &dyn fmt::Display) {
    let mut journal = journal();
    journal.errors += 1;
    journal.note(format_args!("error: {what}: {error}"));
}

/// The outcome of a step.
pub(crate) fn outcome(what: &str, outcome: io::Result<()>) {
    match outcome {
        Ok(()) => steps(1),
        Err(failed) => error(what, &failed),
    }
}

/// Something that must not happen, whatever a system call returns.
pub(crate) fn fault(what: fmt::Arguments<'_>) {
    let mut journal = journal();
    journal.faults += 1;
    journal.note(format_args!("FAULT: {what}"));
}

pub(crate) fn counts() -> Counts {
    let journal = journal();
    let Journal { steps, errors, logged, faults, .. } = *journal;
    Counts { steps, errors, logged, faults }
}

/// Whether there was no error, no line in the log and nothing that must not happen.
pub(crate) fn is_flawless() -> bool {
    let counts = counts();
    counts.errors + counts.logged + counts.faults == 0
}

/// A copy of the notes.
pub(crate) fn notes() -> String {
    journal().notes.clone()
}

struct Lines;

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // A worker that has ended as it should is an `info`.
        metadata.target().starts_with("squall") && metadata.level() != Level::Info
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut journal = journal();
            journal.logged += 1;
            journal.note(format_args!("{}: {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}
