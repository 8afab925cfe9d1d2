//! The clock that a loop reads: the system's monotonic clock, or one that a test moves.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A duration in nanoseconds. Durations above 584 years saturate to `u64::MAX`.
pub(crate) fn whole_nanos(duration: Duration) -> u64 {
    let nanos = duration.as_secs().checked_mul(1_000_000_000);
    nanos.and_then(|nanos| nanos.checked_add(duration.subsec_nanos().into())).unwrap_or(u64::MAX)
}

/// A source of monotonic time for a loop; see [`Builder::clock`](crate::Builder::clock).
///
/// A [manual](Self::manual) or [auto-advancing](Self::auto_advancing) clock is for tests: hours pass
/// in it without waiting. Clones show the same time.
#[derive(Clone, Default)]
pub struct Clock {
    /// `None` for the system's clock.
    simulated: Option<Rc<Simulated>>,
}

/// The time of a clock that a test moves.
struct Simulated {
    now: Cell<Instant>,
    /// How far the clock was moved, in nanoseconds. The loop reads this number: the subtraction of
    /// two `Instant`s costs more.
    moved: Cell<u64>,
    /// Whether the loop moves the clock to the next timer, instead of sleeping.
    is_auto_advancing: bool,
}

impl Clock {
    /// The system's monotonic clock.
    pub fn system() -> Clock {
        Clock::default()
    }

    /// Makes a clock that stands still until [`advance`](Self::advance) or
    /// [`advance_and_settle`](Self::advance_and_settle) moves it.
    ///
    /// A loop with such a clock never sleeps until a timer is due, because a sleep does not move the
    /// clock. Drive the loop with [`EventLoop::run_once`](crate::EventLoop::run_once), or move the
    /// clock from a task.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squall_executor::{Clock, EventLoop};
    ///
    /// let clock = Clock::manual();
    /// let event_loop = EventLoop::builder().clock(clock.clone()).build()?;
    /// event_loop.call_later(Duration::from_secs(3600), || println!("an hour later"));
    /// assert_eq!(event_loop.run_once(Some(Duration::ZERO))?, 0);
    /// clock.advance(Duration::from_secs(3600));
    /// assert_eq!(event_loop.run_once(Some(Duration::ZERO))?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// The loop panics, instead of waiting for ever, if nothing can wake it any more: nothing is
    /// ready, and it has no descriptor, no blocking job, no signal stream and no
    /// [`Handle`](crate::Handle), and no waker of its tasks is left except those of timers and of
    /// tasks that wait for each other.
    pub fn manual() -> Clock {
        Clock::simulated(false)
    }

    /// Makes a clock that the loop itself moves: when the loop would sleep until a timer is due, it
    /// moves the clock to that time instead.
    ///
    /// Sleeps, time limits and periodic callbacks then take no real time, in the same order and with
    /// the same times as without. While a [`spawn_blocking`](crate::spawn_blocking) job runs, the
    /// clock stands still. It does not wait for peers in other processes or threads: a time limit
    /// for such a peer passes at once.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use squall_executor::{Clock, EventLoop, now, sleep};
    ///
    /// let event_loop = EventLoop::builder().clock(Clock::auto_advancing()).build()?;
    /// let begin = Instant::now();
    /// event_loop.block_on(async {
    ///     let before = now();
    ///     sleep(Duration::from_secs(3600)).await;
    ///     assert_eq!(now() - before, Duration::from_secs(3600));
    /// });
    /// assert!(begin.elapsed() < Duration::from_secs(60));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn auto_advancing() -> Clock {
        Clock::simulated(true)
    }

    fn simulated(is_auto_advancing: bool) -> Clock {
        let (now, moved) = (Cell::new(Instant::now()), Cell::new(0));
        Clock { simulated: Some(Rc::new(Simulated { now, moved, is_auto_advancing })) }
    }

    /// The current time.
    pub fn now(&self) -> Instant {
        match &self.simulated {
            None => Instant::now(),
            Some(simulated) => simulated.now.get(),
        }
    }

    /// Moves a manual or auto-advancing clock and its clones forward.
    ///
    /// Timers that become due run when their loop next comes to them.
    /// [`advance_and_settle`](Self::advance_and_settle) waits for that.
    ///
    /// # Panics
    /// If this is the system's clock, or an `Instant` cannot hold the new time.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        let Some(simulated) = &self.simulated else {
            panic!("the system's clock cannot be moved: use Clock::manual()");
        };
        simulated.now.set(simulated.now.get() + by);
        simulated.moved.set(simulated.moved.get().saturating_add(whole_nanos(by)));
    }

    /// How far a test has moved the clock, in nanoseconds. `None` for the system's clock.
    #[inline]
    pub(crate) fn moved(&self) -> Option<u64> {
        self.simulated.as_ref().map(|simulated| simulated.moved.get())
    }

    /// Whether a test, and not the system, moves the clock.
    pub(crate) fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    pub(crate) fn is_auto_advancing(&self) -> bool {
        self.simulated.as_ref().is_some_and(|simulated| simulated.is_auto_advancing)
    }

    /// Whether both show the same time because one is a clone of the other.
    pub(crate) fn is_clone_of(&self, other: &Clock) -> bool {
        match (&self.simulated, &other.simulated) {
            (None, None) => true,
            (Some(one), Some(other)) => Rc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.simulated {
            None => "Clock::system",
            Some(simulated) if simulated.is_auto_advancing => "Clock::auto_advancing",
            Some(_) => "Clock::manual",
        })
    }
}
