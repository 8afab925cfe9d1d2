//! Fault injection for system calls that can fail on a healthy machine.
//!
//! Debug builds count the calls of each thread and can make chosen calls fail. The tests of all
//! three crates use this to reach rare failures: a full descriptor table, a refused `epoll_ctl`, a
//! kernel without `epoll_pwait2`. In release builds, [`check`] is just `Ok(())`.

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

thread_local! {
    static PLANS: RefCell<Vec<Plan>> = const { RefCell::new(Vec::new()) };
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

/// The number of times that this thread has made `call`, failed calls included.
pub fn calls(call: Call) -> u64 {
    COUNTS.with(|counts| counts[call as usize].get())
}
