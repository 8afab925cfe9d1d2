//! The clock that a loop reads: the system's monotonic clock, or one that a test moves.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A source of monotonic time for a loop; see [`Builder::clock`](crate::Builder::clock).
#[derive(Clone, Default)]
pub struct Clock {
    /// The time of a manual clock. `None` for the system's clock.
    manual: Option<Rc<Cell<Instant>>>,
}

impl Clock {
    /// The system's monotonic clock.
    pub fn system() -> Clock {
        Clock::default()
    }

    /// Makes a clock that stands still until [`advance`](Self::advance) moves it.
    ///
    /// A loop with such a clock never sleeps until a timer is due: drive it with
    /// [`EventLoop::run_once`](crate::EventLoop::run_once).
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
    pub fn manual() -> Clock {
        Clock { manual: Some(Rc::new(Cell::new(Instant::now()))) }
    }

    /// The current time.
    pub fn now(&self) -> Instant {
        match &self.manual {
            None => Instant::now(),
            Some(time) => time.get(),
        }
    }

    /// Moves a manual clock and its clones forward.
    ///
    /// # Panics
    /// If this is the system's clock, or an `Instant` cannot hold the new time.
    #[track_caller]
    pub fn advance(&self, by: Duration) {
        let time = self.manual.as_ref().expect("only a manual clock can be moved");
        time.set(time.get() + by);
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.manual.is_some()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_manual() { "Clock::manual" } else { "Clock::system" })
    }
}
