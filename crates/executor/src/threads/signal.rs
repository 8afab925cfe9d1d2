//! Signals as streams: [`termination`] and [`ctrl_c`] wait for one signal, [`Signals`] for any
//! number.
//!
//! A server usually waits for `SIGTERM` beside its work, and then drains. While a stream of a
//! signal exists, the signal's default action does not happen. Without a stream it does, as if this
//! module did not exist.
//!
//! ```
//! use squall_executor::signal::{SIGHUP, SIGTERM, Signals};
//! use squall_executor::{block_on, call_later};
//!
//! block_on(async {
//!     let mut signals = Signals::new([SIGHUP, SIGTERM])?;
//!     # let raise = |signal| move || _ = unsafe { libc::raise(signal) };
//!     # call_later(Default::default(), raise(SIGHUP));
//!     # call_later(Default::default(), raise(SIGTERM));
//!     while let Some(SIGHUP) = signals.next().await {
//!         println!("reading the configuration again");
//!     }
//!     println!("draining"); // `signals` still exists: a second SIGTERM does not end the process
//!     std::io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! # How it works
//!
//! ```text
//!   the handler, on any thread          the loop                      a stream
//!   pending |= 1 << (signal - 1)  ──▶   when it asks the kernel:  ──▶ pending &= !bit
//!   notify the inbox                    wake the tasks of streams     return the signal
//!                                       with a pending signal
//! ```
//!
//! The handler does two atomic operations and, if the loop sleeps, one `write`. It takes no lock
//! and allocates nothing. signal-hook-registry installs the handler, preserves `errno`, and chains
//! to the handler that was installed before.

#![allow(unsafe_code, reason = "what a signal handler may do is a promise that no type makes")]

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_core::Stream;
use libc::c_int;
use signal_hook_registry::{FORBIDDEN, SigId};
use squall_reactor::Process;

use crate::current;
use crate::error::LoopClosed;
use crate::loop_core::Core;
use crate::threads::signal_listener::{PendingSignals, SignalListener};
use crate::{sync, sys};

pub use libc::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGIO, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGURG, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// Waits for the next `SIGINT` after the first poll. Ctrl-C sends this signal.
///
/// While no task waits for it, Ctrl-C ends the process as usual. So if the shutdown after the first
/// Ctrl-C hangs, a second Ctrl-C ends the process.
///
/// ```no_run
/// use squall_executor::{block_on, signal};
///
/// block_on(async {
///     println!("waiting for Ctrl-C");
///     signal::ctrl_c().await
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Those of [`Signals::new`], and [`LoopClosed`] if the loop ends before the signal.
///
/// # Panics
/// If there is no loop on this thread.
pub async fn ctrl_c() -> io::Result<()> {
    let signal = Signals::new([SIGINT])?.next().await;
    signal.map(drop).ok_or(LoopClosed.into())
}

/// Waits for the next `SIGINT` or `SIGTERM` after the first poll, and returns its number.
///
/// Ctrl-C sends the first, and service managers and containers send the second to end a program. While no task waits for
/// them, they end the process as usual, so a second one ends a shutdown that hangs.
///
/// ```no_run
/// use squall_executor::{block_on, signal};
///
/// block_on(async {
///     let signal = signal::termination().await?;
///     println!("ending after signal {signal}");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// Those of [`Signals::new`], and [`LoopClosed`] if the loop ends before the signal.
///
/// # Panics
/// If there is no loop on this thread.
pub async fn termination() -> io::Result<c_int> {
    Signals::new([SIGINT, SIGTERM])?.next().await.ok_or(LoopClosed.into())
}

/// A stream of the signals that the process receives. Tornado: `add_callback_from_signal`.
///
/// While any stream of a signal exists, on any loop, the default action of that signal is off. When
/// the last stream is dropped, the default action applies again: squall's handler stays installed,
/// and lets the kernel act while no stream exists. Only squall's streams count. A program that also
/// handles the signal by other means should keep a stream of it.
///
/// A signal that had another action before keeps that action. An ignored signal stays ignored, but
/// programs that this process starts do not inherit that.
///
/// A signal that this thread blocks, as a program does that was started under `env --block-signal`, is unblocked here, and
/// stays so.
///
/// Every stream of a signal receives it. Signals of one kind that arrive faster than the stream
/// returns them are merged into one, as in the kernel. In a forked child, the streams of the parent
/// end at once.
///
/// ```
/// use squall_executor::{block_on, signal::{SIGHUP, SIGTERM, Signals}};
///
/// block_on(async {
///     let mut signals = Signals::new([SIGTERM, SIGHUP])?;
///     # unsafe { libc::raise(SIGHUP) };
///     match signals.next().await {
///         Some(SIGHUP) => println!("reloading"),
///         _ => println!("ending"),
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Cancel safety
/// Cancel safe: a signal that was not returned stays pending.
pub struct Signals {
    listener: Rc<SignalListener>,
    core: Weak<Core>,
    process: Process,
    actions: Vec<(c_int, SigId)>,
}

impl Signals {
    /// Starts to listen to these signals, on this thread's loop.
    ///
    /// # Errors
    /// - `InvalidInput` if a number is not a signal, or is one of `SIGKILL`, `SIGSTOP`, `SIGSEGV`,
    ///   `SIGILL` and `SIGFPE`.
    /// - An error if this is a forked child and the loop is its parent's.
    /// - The errors of `sigaction(2)`.
    ///
    /// # Panics
    /// If there is no loop on this thread.
    #[track_caller]
    pub fn new(signals: impl IntoIterator<Item = c_int>) -> io::Result<Signals> {
        let core = current::get();
        core.check_process()?;
        let shared = sync::Arc::clone(core.scheduler.shared());
        let listener = Rc::new(SignalListener::new(shared));
        let process = Process::current()?;
        let mut stream =
            Signals { listener, core: Rc::downgrade(&core), process, actions: Vec::new() };
        for signal in signals {
            // On an error, the drop of the stream removes the signals that were added before.
            stream.add(signal, core.isolation.is_some())?;
        }
        core.signal_listeners.borrow_mut().push(Rc::clone(&stream.listener));
        Ok(stream)
    }

    fn add(&mut self, signal: c_int, is_isolated: bool) -> io::Result<()> {
        if !(1..=64).contains(&signal) || FORBIDDEN.contains(&signal) {
            let what = format!("signal {signal} does not exist or cannot be handled");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        self.listener.listen_to(signal);
        if is_isolated {
            return Ok(()); // its signals are not those of the process
        }
        DEFAULTS.install(signal)?;
        let pending = self.listener.pending();
        self.actions.push((signal, register(signal, Action::Record(pending))?));
        DEFAULTS.listen(signal, self.process);
        sys::unblock(signal);
        Ok(())
    }

    /// Waits for a signal. Returns `None` if the loop of this stream is closed.
    pub async fn next(&mut self) -> Option<c_int> {
        poll_fn(|cx| self.poll_signal(cx)).await
    }

    fn poll_signal(&self, cx: &mut Context<'_>) -> Poll<Option<c_int>> {
        if !self.process.is_current() {
            return Poll::Ready(None); // the pending signals are the parent's
        }
        if self.core.upgrade().is_none_or(|core| core.scheduler.is_closed()) {
            return Poll::Ready(self.listener.take_signal());
        }
        self.listener.poll_signal(cx).map(Some)
    }
}

impl Stream for Signals {
    type Item = c_int;

    /// Returns the next signal. The stream ends when the loop is closed.
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<c_int>> {
        self.poll_signal(cx)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // A forked child unregisters nothing. There the actions notify no loop, and the fork may
        // have copied the registry in the middle of a change.
        if self.process.is_current() {
            for (signal, action) in self.actions.drain(..) {
                DEFAULTS.leave(signal, self.process);
                signal_hook_registry::unregister(action);
            }
        }
        if let Some(core) = self.core.upgrade() {
            core.signal_listeners.borrow_mut().retain(|known| !Rc::ptr_eq(known, &self.listener));
        }
        drop(self.listener.take_waker());
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signals = self.actions.iter().map(|(signal, _)| signal);
        f.debug_list().entries(signals).finish()
    }
}

/// What a signal's handler does. Each of these does only what a signal handler may do.
enum Action {
    /// Records the signal for a stream: two atomic operations and at most one write to an eventfd.
    Record(sync::Arc<PendingSignals>),
    /// Lets the kernel act if no stream listens: reads atomics, and calls `act_by_default`, which is
    /// made for handlers.
    Default(&'static Defaults),
}

/// Adds an action to the handler of a signal, and installs the handler the first time.
fn register(signal: c_int, action: Action) -> io::Result<SigId> {
    let act = move || match &action {
        Action::Record(pending) => pending.add(signal),
        Action::Default(defaults) => defaults.act(signal),
    };
    // SAFETY: both actions are safe in a signal handler, as they say. `unregister` drops the closure
    // outside of handlers.
    unsafe { signal_hook_registry::register(signal, act) }
}

/// Applies the default action of a signal while no stream listens to it.
///
/// A handler, once installed, stays: signal-hook-registry does not remove it, because other
/// handlers may be chained to it. So each signal's handler gets one more action, which checks
/// whether streams listen, and lets the kernel act if not.
static DEFAULTS: Defaults = Defaults {
    installed: Mutex::new([false; 65]),
    listeners: [const { AtomicU64::new(0) }; 65],
    replaced: [const { AtomicBool::new(false) }; 65],
};

struct Defaults {
    /// Whether the action of each signal is registered.
    installed: Mutex<[bool; 65]>,
    /// For each signal, the number of streams that listen to it, in the low 32 bits. The high 32
    /// bits identify the process to which the number applies, so that a forked child does not count
    /// its parent's streams.
    listeners: [AtomicU64; 65],
    /// For each signal, whether squall's handler has replaced the default action, and not a handler
    /// of other code.
    replaced: [AtomicBool; 65],
}

impl Defaults {
    /// Registers the action for a signal, the first time that a stream listens to it.
    fn install(&'static self, signal: c_int) -> io::Result<()> {
        let mut installed = self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        if !installed[index(signal)] {
            let is_default = sys::has_default_action(signal)?;
            self.replaced[index(signal)].store(is_default, Ordering::Relaxed);
            register(signal, Action::Default(self))?;
            installed[index(signal)] = true;
        }
        Ok(())
    }

    /// Lets the kernel act if no stream listens and the default action was replaced. Safe in a
    /// signal handler.
    fn act(&self, signal: c_int) {
        let word = self.listeners[index(signal)].load(Ordering::Relaxed);
        let has_listener = word & COUNT != 0 && word & !COUNT == Process::forks_now() << 32;
        if !has_listener && self.replaced[index(signal)].load(Ordering::Relaxed) {
            sys::act_by_default(signal);
        }
    }

    /// Counts one stream more.
    fn listen(&self, signal: c_int, process: Process) {
        self.change(signal, process, |count| count + 1);
    }

    /// Counts one stream less. The caller must be in the process that listens.
    fn leave(&self, signal: c_int, process: Process) {
        self.change(signal, process, |count| count - 1);
    }

    /// Changes the number of a signal's streams. A number of another process counts as 0.
    fn change(&self, signal: c_int, process: Process, change: impl Fn(u64) -> u64) {
        let process_bits = process.forks() << 32;
        let changed = |word: u64| {
            let count = if word & !COUNT == process_bits { word & COUNT } else { 0 };
            Some(process_bits | change(count))
        };
        let _ = self.listeners[index(signal)].fetch_update(
            Ordering::Relaxed,
            Ordering::Relaxed,
            changed,
        );
    }
}

/// The bits of a `listeners` word that hold the number of streams.
const COUNT: u64 = u32::MAX as u64;

fn index(signal: c_int) -> usize {
    usize::try_from(signal).expect("signals are positive")
}
