//! What can go wrong at the boundary of the loop.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

/// Why a loop did not run, or stopped before its future was done.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// [`stop`](crate::EventLoop::stop) was called before the future completed.
    Stopped,
    /// The time limit passed before the future completed; the future was dropped.
    TimedOut,
    /// A loop runs on this thread already, further up the stack.
    AlreadyRunning,
    /// The loop was made before a `fork`, and this is the child; make a new one here.
    Forked,
    /// The kernel refused to wait.
    Io(io::Error),
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunError::Stopped => {
                f.write_str("the event loop was stopped before the future completed")
            }
            RunError::TimedOut => f.write_str("the future did not complete in time"),
            RunError::AlreadyRunning => f.write_str(
                "an event loop runs on this thread already: spawn a task or await instead",
            ),
            RunError::Forked => f.write_str(
                "the event loop was made before a fork and belongs to the parent: \
                 make a new one in the child",
            ),
            RunError::Io(error) => write!(f, "the event loop cannot wait for events: {error}"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            RunError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RunError> for io::Error {
    fn from(error: RunError) -> io::Error {
        match error {
            RunError::Io(error) => error,
            RunError::TimedOut => io::Error::new(io::ErrorKind::TimedOut, error),
            other => io::Error::other(other),
        }
    }
}

impl From<io::Error> for RunError {
    fn from(error: io::Error) -> RunError {
        RunError::Io(error)
    }
}

/// The loop behind a [`Handle`](crate::Handle) is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoopClosed;

impl fmt::Display for LoopClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop is closed")
    }
}

impl Error for LoopClosed {}

impl From<LoopClosed> for io::Error {
    fn from(error: LoopClosed) -> io::Error {
        io::Error::new(io::ErrorKind::NotConnected, error)
    }
}

/// Why a task has no output: it was aborted, its loop ended first, or it panicked.
pub struct JoinError {
    /// The payload, behind a lock only because a payload is not `Sync` and an error should be; behind a box because every
    /// task has room for an error.
    panic: Option<Box<Mutex<Box<dyn Any + Send>>>>,
}

impl JoinError {
    pub(crate) fn cancelled() -> JoinError {
        JoinError { panic: None }
    }

    pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> JoinError {
        if payload.is::<Cancellation>() {
            return JoinError::cancelled();
        }
        JoinError { panic: Some(Box::new(Mutex::new(payload))) }
    }

    /// Lets the task that calls end as what this error tells of.
    pub(crate) fn resume(self) -> ! {
        resume_unwind(self.into_panic().unwrap_or_else(|_| Box::new(Cancellation)))
    }

    /// Tells whether the task was aborted or its loop ended before it did.
    pub fn is_cancelled(&self) -> bool {
        self.panic.is_none()
    }

    /// Tells whether the task panicked.
    pub fn is_panic(&self) -> bool {
        self.panic.is_some()
    }

    /// The payload of the panic, to be inspected or passed to [`std::panic::resume_unwind`].
    ///
    /// # Errors
    /// The error itself, if the task did not panic.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        match self.panic {
            Some(payload) => Ok(payload.into_inner().unwrap_or_else(PoisonError::into_inner)),
            None => Err(self),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(payload) = &self.panic else { return f.write_str("the task was cancelled") };
        let payload = payload.lock().unwrap_or_else(PoisonError::into_inner);
        write!(f, "the task panicked: {}", panic_text(&**payload))
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {}

impl From<JoinError> for io::Error {
    fn from(error: JoinError) -> io::Error {
        io::Error::other(error)
    }
}

/// The payload with which a task ends itself as cancelled.
struct Cancellation;

/// What a panic said, for a log.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<&str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("(no text)", String::as_str),
    }
}

const _: () = {
    const fn is_error<T: Error + Send + Sync>() {}
    is_error::<RunError>();
    is_error::<LoopClosed>();
    is_error::<JoinError>();
};
