//! A sleep that is `Send` and `Sync`, as hyper asks for.
//!
//! A sleep of squall is neither, because it belongs to a loop. So each thread has a table of its
//! sleeps, and hyper gets a place in the table.
//!
//! ```text
//!   Sleep { deadline, place } ──▶ the table of the thread that has polled last ──▶ squall's sleep
//! ```

use std::cell::RefCell;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use hyper::rt;
use slab::Slab;
use squall_executor::sleep_until;

/// Waits for a deadline on the loop that polls it.
pub(super) struct Sleep {
    /// `None` stands for never.
    deadline: Option<Instant>,
    /// `None` before the first poll.
    place: Option<Place>,
}

impl Sleep {
    pub(super) fn new(deadline: Option<Instant>) -> Sleep {
        Sleep { deadline, place: None }
    }

    /// Changes the deadline, even if the old one has passed.
    pub(super) fn reset(&mut self, deadline: Instant) {
        self.deadline = Some(deadline);
        let is_moved = self
            .place
            .as_ref()
            .is_some_and(|place| place.with_sleep(|sleep| sleep.reset(deadline)).is_some());
        if !is_moved {
            self.place = None; // the next poll arms a timer on its own thread
        }
    }
}

impl Future for Sleep {
    type Output = ();

    /// # Panics
    /// If there is no loop on this thread.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.deadline else { return Poll::Pending };
        let poll = |sleep: &mut squall_executor::Sleep| Pin::new(sleep).poll(cx);
        if let Some(place) = &self.place
            && let Some(polled) = place.with_sleep(poll)
        {
            return polled;
        }
        let mut sleep = sleep_until(deadline);
        let polled = Pin::new(&mut sleep).poll(cx);
        self.place = Some(Place::new(sleep)); // drops the place on the former thread
        polled
    }
}

impl rt::Sleep for Sleep {}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

/// The sleeps of one thread.
#[derive(Default)]
struct Table {
    /// A sleep is out of its place while it runs: it then clones and drops wakers, which are foreign
    /// code and may come back to the table.
    sleeps: Slab<Option<squall_executor::Sleep>>,
    abandoned: Arc<Abandoned>,
}

/// The keys of sleeps that were dropped on other threads. The next new sleep of the table's thread
/// removes them; until then a timer may still fire, and wake a task in vain.
type Abandoned = Mutex<Vec<usize>>;

impl Table {
    /// Takes out the sleeps that were dropped on other threads.
    fn take_abandoned(&mut self) -> Vec<Option<squall_executor::Sleep>> {
        let keys = mem::take(&mut *lock(&self.abandoned));
        keys.into_iter().map(|key| self.sleeps.remove(key)).collect()
    }
}

fn lock(abandoned: &Abandoned) -> MutexGuard<'_, Vec<usize>> {
    abandoned.lock().unwrap_or_else(PoisonError::into_inner) // a push leaves no half-made list
}

/// A place in the table of one thread. Dropping it removes the sleep.
struct Place {
    /// The table's list, which also tells the tables of two threads apart.
    abandoned: Arc<Abandoned>,
    key: usize,
}

impl Place {
    /// Puts a sleep into the table of this thread.
    fn new(sleep: squall_executor::Sleep) -> Place {
        let (place, abandoned) = TABLE.with_borrow_mut(|table| {
            let abandoned = table.take_abandoned();
            let key = table.sleeps.insert(Some(sleep));
            (Place { abandoned: Arc::clone(&table.abandoned), key }, abandoned)
        });
        drop(abandoned); // after the borrow has ended: a sleep drops its waker
        place
    }

    /// Calls `f` with the sleep. Returns `None` on another thread than that of the table.
    fn with_sleep<R>(&self, f: impl FnOnce(&mut squall_executor::Sleep) -> R) -> Option<R> {
        let mut sleep = self.in_table(|sleeps| sleeps[self.key].take())??;
        let result = f(&mut sleep);
        self.in_table(|sleeps| sleeps[self.key] = Some(sleep));
        Some(result)
    }

    /// Calls `f` with the sleeps of this thread. Returns `None` if they are another table than that
    /// of this place.
    fn in_table<R>(
        &self,
        f: impl FnOnce(&mut Slab<Option<squall_executor::Sleep>>) -> R,
    ) -> Option<R> {
        let in_table = |table: &RefCell<Table>| {
            let table = &mut *table.borrow_mut();
            Arc::ptr_eq(&table.abandoned, &self.abandoned).then(|| f(&mut table.sleeps))
        };
        TABLE.try_with(in_table).ok()? // a thread that ends has dropped its table
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        match self.in_table(|sleeps| sleeps.remove(self.key)) {
            Some(sleep) => drop(sleep), // after the borrow has ended, as above
            None => lock(&self.abandoned).push(self.key),
        }
    }
}
