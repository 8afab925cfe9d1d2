//! What timers cost a runtime that has many of them.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::runtimes::Timers;

pub(super) const CANCEL: &str = "A sleep is polled once and dropped, while others sleep that end within the same ten seconds. CPU time of \
                                 the process for each of 100,000.";
pub(super) const FIRE: &str = "All timers are due within 10 ms, and the thread is kept from its loop until they are. Then the loop finds \
                               and wakes them all. CPU time of the process for each, with the wake of a waker that only counts.";

/// Timers that are armed and cancelled beside the armed ones.
const CANCELLED: u32 = 100_000;
/// So many timers fire in all, in several rounds if few are armed at once.
const FIRED: u32 = 20_000;
/// All timers that fire together are due within this time.
const SPREAD: Duration = Duration::from_millis(10);
/// The deadlines of timers that do not fire.
const FAR: Duration = Duration::from_secs(55);
const FAR_SPREAD: Duration = Duration::from_secs(10);

/// Nanoseconds for each timer.
pub(crate) struct Costs {
    pub(super) cancel: f64,
    pub(super) fire: f64,
}

/// Measures what one of `count` armed timers costs.
pub(super) fn measure<T: Timers>(count: u32) -> Costs {
    let begin = Instant::now();
    let cancel = cancel::<T>(count);
    // At least as long as it took to arm them, so that none is due before all are armed.
    let mut lead = Duration::from_millis(10) + 2 * begin.elapsed();
    let (mut fired, mut used) = (0, Duration::ZERO);
    while fired < FIRED {
        match fire::<T>(count, lead) {
            Some(all) => {
                fired += count;
                used += all;
            }
            None => lead *= 2,
        }
    }
    Costs { cancel, fire: used.as_nanos() as f64 / f64::from(fired) }
}

/// Returns the nanoseconds of a timer that is armed and cancelled beside `count` others.
fn cancel<T: Timers>(count: u32) -> f64 {
    T::block_on(poll_fn(|cx| {
        let far = |n| T::sleep(FAR + scattered(n, FAR_SPREAD));
        let mut others: Vec<_> = (0..count).map(|n| Box::pin(far(n))).collect();
        others.iter_mut().for_each(|sleep| assert!(sleep.as_mut().poll(cx).is_pending()));
        let begin = cpu_time();
        for n in 0..CANCELLED {
            assert!(pin!(far(n)).poll(cx).is_pending());
        }
        let used = cpu_time() - begin;
        Poll::Ready(used.as_nanos() as f64 / f64::from(CANCELLED))
    }))
}

/// Returns the CPU time for `count` timers that are due at once, or `None` if one of them was due
/// before all were armed, which takes less than `lead`.
fn fire<T: Timers>(count: u32, lead: Duration) -> Option<Duration> {
    T::block_on(async {
        let due = Instant::now() + lead;
        let fired = Arc::new(Fired::new(count));
        let waker = Waker::from(Arc::clone(&fired));
        let _armed = arm::<T>(count, due, &waker)?;
        // The loop turns once: squall's timers never fire in the turn that has armed them.
        T::sleep(Duration::from_millis(1)).await;
        if Instant::now() >= due {
            return None;
        }
        let begin = cpu_time();
        // Some runtimes end a sleep up to two milliseconds late.
        let end = due + SPREAD + Duration::from_millis(3);
        thread::sleep(end.saturating_duration_since(Instant::now()));
        poll_fn(|cx| fired.poll(cx)).await;
        Some(cpu_time() - begin)
    })
}

/// Arms `count` timers that are due from `due` on. `None` if one of them was due meanwhile.
fn arm<T: Timers>(
    count: u32,
    due: Instant,
    waker: &Waker,
) -> Option<Vec<Pin<Box<impl Future<Output = ()>>>>> {
    let armed = (0..count).map(|n| {
        let at = due + scattered(n, SPREAD);
        let mut sleep = Box::pin(T::sleep(at.saturating_duration_since(Instant::now())));
        let polled = sleep.as_mut().poll(&mut Context::from_waker(waker));
        polled.is_pending().then_some(sleep)
    });
    armed.collect()
}

/// Counts the timers that fire, and wakes a task at the last one.
struct Fired {
    left: AtomicUsize,
    waiting: Mutex<Option<Waker>>,
}

impl Fired {
    fn new(count: u32) -> Fired {
        Fired { left: AtomicUsize::new(count as usize), waiting: Mutex::default() }
    }

    /// Ready if all timers have fired.
    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        // Stored before the count is read; `wake_by_ref` does the opposite.
        *self.waiting.lock().expect("no panic") = Some(cx.waker().clone());
        if self.left.load(Ordering::Acquire) == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Wake for Fired {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waiting = self.waiting.lock().expect("no panic").take();
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

/// Returns the CPU time of all threads of this process. async-io fires timers on a thread of its
/// own while its others are busy.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("a positive time")
}

/// Returns a duration below `limit`, scattered, but the same in every run.
fn scattered(n: u32, limit: Duration) -> Duration {
    let part = n.wrapping_mul(2_654_435_761);
    limit.mul_f64(f64::from(part) / (f64::from(u32::MAX) + 1.0))
}
