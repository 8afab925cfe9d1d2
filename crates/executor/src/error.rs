//! The errors of loops, handles and tasks.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};

/// Why a loop did not run, or ended its run before the future was done.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// [`stop`](crate::EventLoop::stop) was called before the future completed.
    Stopped,
    /// The time limit passed before the future completed; the future was dropped.
    TimedOut,
    /// A loop runs on this thread already: the call was made inside it.
    AlreadyRunning,
    /// This is a forked child, and the loop is its parent's. The child must make a new loop.
    Forked,
    /// The kernel returned this error instead of waiting for events.
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

/// The loop of a [`Handle`](crate::Handle) is closed.
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
    /// The payload of the panic; `None` if the task was cancelled. The lock makes the error `Sync`,
    /// which the payload is not. The box keeps tasks small, because each has space for an error.
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

    /// Ends the calling task with this error: with the same panic, or as cancelled.
    pub(crate) fn resume(self) -> ! {
        resume_unwind(self.into_panic().unwrap_or_else(|_| Box::new(Cancellation)))
    }

    /// Returns true if the task was aborted or its loop ended first.
    pub fn is_cancelled(&self) -> bool {
        self.panic.is_none()
    }

    /// Returns true if the task panicked.
    pub fn is_panic(&self) -> bool {
        self.panic.is_some()
    }

    /// Returns the payload of the panic, to inspect it or pass it to [`std::panic::resume_unwind`].
    ///
    /// # Errors
    /// This error itself, if the task did not panic.
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

/// The payload of an unwind by which a task ends itself as cancelled; see [`JoinError::resume`].
struct Cancellation;

/// The message of a panic, for the log.
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
