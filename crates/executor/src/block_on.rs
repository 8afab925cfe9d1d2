//! Running a loop until a future is done: `block_on` and `run_sync`.
//!
//! The future stays with the caller. In the loop a [root future](crate::task::root_future)
//! represents it.

use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::task::Context;
use std::time::Duration;

use crate::current::Running;
use crate::error::RunError;
use crate::event_loop::{EventLoop, Run};
use crate::large::{LargeFuture, is_large};
use crate::task::root_future::RootFuture;
use crate::time::timeout::{Elapsed, Timeout};

/// Makes a loop for this call and runs `future` on it. The future need be neither `Send` nor
/// `'static`.
///
/// Tasks that the future leaves behind are dropped with the loop. Tornado: `IOLoop().run_sync`.
///
/// ```
/// let answer = squall_executor::block_on(async { 42 });
/// assert_eq!(answer, 42);
/// ```
///
/// # Panics
/// If a loop runs on this thread already, or if a loop cannot be made, for example because no
/// descriptor number is free. A panic of the future propagates.
#[track_caller]
pub fn block_on<F: Future>(future: F) -> F::Output {
    let event_loop = match EventLoop::new() {
        Ok(event_loop) => event_loop,
        Err(error) => panic!("cannot make an event loop: {error}"),
    };
    if const { is_large::<F>() } {
        let future: LargeFuture<'_, _> = Box::pin(future);
        event_loop.block_on(future)
    } else {
        event_loop.block_on(future)
    }
}

impl EventLoop {
    /// Runs the loop until `future` is done and returns its output. The future need be neither
    /// `Send` nor `'static`.
    ///
    /// The future is queued like a task: entries that were queued before run first. Tasks that it
    /// leaves behind stay in the loop for the next run. [`stop`](Self::stop) does not end this run.
    ///
    /// # Panics
    /// If a loop runs on this thread already, if this is a forked child and the loop is its
    /// parent's, or if the kernel refuses to wait; [`run_sync`](Self::run_sync) returns an error
    /// instead. A panic of the future propagates.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let outcome = if const { is_large::<F>() } {
            let future: LargeFuture<'_, _> = Box::pin(future);
            self.run_root(future, None, false)
        } else {
            self.run_root(future, None, false)
        };
        match outcome {
            Ok(Some(output)) => output,
            Ok(None) => unreachable!("only the future can end this run"),
            Err(RunError::AlreadyRunning) => panic!(
                "block_on was called inside a running event loop, which it would block: \
                 await the future, or spawn it"
            ),
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs the loop until `future` is done, the loop is stopped or `limit` has passed. Returns the
    /// future's output. Tornado: `IOLoop.run_sync`.
    ///
    /// # Errors
    /// - [`RunError::Stopped`]: [`stop`](Self::stop) was called first; the future is dropped.
    /// - [`RunError::TimedOut`]: `limit` has passed first; the future is dropped.
    /// - [`RunError::AlreadyRunning`], [`RunError::Forked`], [`RunError::Io`].
    #[track_caller]
    pub fn run_sync<F: Future>(
        &self,
        future: F,
        limit: Option<Duration>,
    ) -> Result<F::Output, RunError> {
        let outcome = if const { is_large::<F>() } {
            let future: LargeFuture<'_, _> = Box::pin(future);
            self.run_root(future, limit, true)
        } else {
            self.run_root(future, limit, true)
        };
        outcome?.ok_or(RunError::Stopped)
    }

    /// Runs the loop until `future` is done or, if `ends_on_stop`, the loop is stopped. Returns
    /// `None` in the latter case.
    #[track_caller]
    fn run_root<F: Future>(
        &self,
        future: F,
        limit: Option<Duration>,
        ends_on_stop: bool,
    ) -> Result<Option<F::Output>, RunError> {
        let location = Location::caller();
        let _running = Running::begin(&self.core)?; // also while the future is dropped
        let future = pin!(future);
        let Some(limit) = limit else {
            return self.run_pinned(future, ends_on_stop, location);
        };
        let deadline = self.core.clock.time().checked_add(limit);
        let future = pin!(Timeout::until(deadline, future, location));
        match self.run_pinned(future, ends_on_stop, location)? {
            Some(Err(Elapsed)) => Err(RunError::TimedOut),
            Some(Ok(output)) => Ok(Some(output)),
            None => Ok(None),
        }
    }

    fn run_pinned<F: Future>(
        &self,
        mut future: Pin<&mut F>,
        ends_on_stop: bool,
        location: &'static Location<'static>,
    ) -> Result<Option<F::Output>, RunError> {
        let core = &*self.core;
        let mut output = None;
        let mut poll =
            |cx: &mut Context<'_>| future.as_mut().poll(cx).map(|value| output = Some(value));
        let root = Some(RootFuture::new(&core.scheduler, core.origin(location), &mut poll));
        core.run_until_over(&mut Run { root, ends_on_stop, is_embedded: false })?;
        if ends_on_stop {
            core.is_stopping.set(false);
        }
        Ok(output)
    }
}
