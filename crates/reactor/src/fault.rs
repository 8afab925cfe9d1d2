//! Fault injection for system calls that can fail on a healthy machine.
//!
//! Debug builds count the calls of each thread, and can make chosen calls fail or move fewer bytes.
//! The tests of all three crates use this to reach rare failures: a full descriptor table, a refused
//! `epoll_ctl`, a kernel without `epoll_pwait2`. In release builds, [`check`] is just `Ok(())`, and
//! [`allowed`] returns the length that it was given.

use std::cell::{Cell, RefCell};
use std::io;

/// A call that this module counts and can make fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is named after its call")]
pub enum Call {
    EpollCreate,
    EpollAdd,
    EpollModify,
    EpollDelete,
    EpollPwait2,
    EpollWait,
    EventfdCreate,
    Accept,
    Socket,
    Connect,
    Recv,
    Send,
    Shutdown,
    Thread,
}

const CALLS: usize = Call::Thread as usize + 1;

struct Plan {
    call: Call,
    /// The number of calls to let through before the first failure.
    pass: u32,
    /// The number of calls to fail after those.
    fail: u32,
    errno: i32,
}

/// A plan for calls that move bytes.
struct ShortPlan {
    call: Call,
    /// The number of calls to leave whole before the first one that is shortened.
    pass: u32,
    /// The number of calls to shorten after those.
    shorten: u32,
    /// The most bytes that a shortened call may move.
    most: usize,
}

thread_local! {
    static PLANS: RefCell<Vec<Plan>> = const { RefCell::new(Vec::new()) };
    static SHORT_PLANS: RefCell<Vec<ShortPlan>> = const { RefCell::new(Vec::new()) };
    /// For each call, how often [`allowed`] was asked, and whether it shortened the last one.
    static LENGTHS: [Cell<(u64, bool)>; CALLS] = const { [const { Cell::new((0, false)) }; CALLS] };
    static COUNTS: [Cell<u64>; CALLS] = const { [const { Cell::new(0) }; CALLS] };
}

/// Whether this build can inject faults. If not, a test that needs a fault can report that it was
/// skipped.
pub const ACTIVE: bool = cfg!(debug_assertions);

/// Counts a call that is about to be made. Returns an error if the call must fail.
///
/// # Errors
/// The error that [`inject`] planned for this call.
#[inline]
pub fn check(call: Call) -> io::Result<()> {
    if ACTIVE { count_and_check(call) } else { Ok(()) }
}

fn count_and_check(call: Call) -> io::Result<()> {
    COUNTS.with(|counts| {
        let count = &counts[call as usize];
        count.set(count.get() + 1);
    });
    // When the thread has destroyed its thread-locals, the plans are gone and no call fails.
    PLANS.try_with(|plans| planned_outcome(&mut plans.borrow_mut(), call)).unwrap_or(Ok(()))
}

fn planned_outcome(plans: &mut [Plan], call: Call) -> io::Result<()> {
    let Some(plan) = plans.iter_mut().find(|plan| plan.call == call && plan.fail > 0) else {
        return Ok(());
    };
    if plan.pass > 0 {
        plan.pass -= 1;
        return Ok(());
    }
    plan.fail -= 1;
    Err(io::Error::from_raw_os_error(plan.errno))
}

/// Lets the next `pass` calls of this thread through and fails the `fail` calls after them with
/// `errno`.
pub fn inject(call: Call, pass: u32, fail: u32, errno: i32) {
    PLANS.with_borrow_mut(|plans| plans.push(Plan { call, pass, fail, errno }));
}

/// Returns how many of `wanted` bytes a `call` that is about to be made may ask for: all, unless
/// [`shorten`] planned otherwise.
#[inline]
pub fn allowed(call: Call, wanted: usize) -> usize {
    if ACTIVE { planned_length(call, wanted) } else { wanted }
}

fn planned_length(call: Call, wanted: usize) -> usize {
    // When the thread has destroyed its thread-locals, the plans are gone and no call is short.
    let planned = SHORT_PLANS.try_with(|plans| most_of_plan(&mut plans.borrow_mut(), call));
    let allowed = planned.ok().flatten().map_or(wanted, |most| wanted.min(most));
    LENGTHS.with(|lengths| {
        let (asked, _) = lengths[call as usize].get();
        lengths[call as usize].set((asked + 1, allowed < wanted));
    });
    allowed
}

fn most_of_plan(plans: &mut [ShortPlan], call: Call) -> Option<usize> {
    let plan = plans.iter_mut().find(|plan| plan.call == call && plan.shorten > 0)?;
    if plan.pass > 0 {
        plan.pass -= 1;
        return None;
    }
    plan.shorten -= 1;
    Some(plan.most)
}

/// Whether this thread's last `call` asked for fewer bytes than it wanted.
///
/// A kernel that moves fewer bytes than it was asked for says that a socket is empty or full. A call
/// that was shortened here says nothing.
#[inline]
pub fn was_shortened(call: Call) -> bool {
    ACTIVE && LENGTHS.with(|lengths| lengths[call as usize].get().1)
}

/// The number of times that this thread has made a `call` that [`shorten`] can shorten.
pub fn calls_with_length(call: Call) -> u64 {
    LENGTHS.with(|lengths| lengths[call as usize].get().0)
}

/// Leaves the next `pass` calls of this thread whole, and makes the `shorten` calls after them move
/// at most `most` bytes.
///
/// # Panics
/// If `most` is 0: a call that moves nothing is an end, and not a short one.
pub fn shorten(call: Call, pass: u32, shorten: u32, most: usize) {
    assert!(most > 0, "a short call moves at least one byte");
    SHORT_PLANS.with_borrow_mut(|plans| plans.push(ShortPlan { call, pass, shorten, most }));
}

/// Forgets the plans of this thread.
pub fn clear() {
    PLANS.with_borrow_mut(Vec::clear);
    SHORT_PLANS.with_borrow_mut(Vec::clear);
}

/// The number of times that this thread has made `call`, failed calls included.
pub fn calls(call: Call) -> u64 {
    COUNTS.with(|counts| counts[call as usize].get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_calls_are_short() {
        if !ACTIVE {
            return eprintln!("skipped: this build has no fault seam");
        }
        shorten(Call::Recv, 1, 2, 3);
        let allowed = |call| (0..4).map(|_| allowed(call, 10)).collect::<Vec<_>>();
        assert_eq!(allowed(Call::Send), [10; 4]);
        assert_eq!(allowed(Call::Recv), [10, 3, 3, 10]);
        assert!(!was_shortened(Call::Recv));
        shorten(Call::Recv, 0, u32::MAX, 1);
        assert_eq!(allowed(Call::Recv), [1; 4]);
        assert!(was_shortened(Call::Recv));
        clear();
        assert_eq!(allowed(Call::Recv), [10; 4]);
        assert_eq!((calls_with_length(Call::Recv), calls_with_length(Call::Send)), (12, 4));
    }
}
