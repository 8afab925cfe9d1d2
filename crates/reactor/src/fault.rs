//! The seam behind the system calls that can fail on a sound machine: debug builds count the calls of this thread and can make
//! chosen ones fail.
//!
//! Tests of all three floors use it to reach what a healthy machine never shows: a full descriptor table, a refused
//! `epoll_ctl`, a kernel without `epoll_pwait2`. Release builds compile it away: [`check`] is `Ok(())` there.

use std::cell::{Cell, RefCell};
use std::io;

/// A system call as the seam names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the name of its system call")]
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
    /// Calls that still go through before the first failure.
    pass: u32,
    /// Calls that fail after those.
    fail: u32,
    errno: i32,
}

thread_local! {
    static PLANS: RefCell<Vec<Plan>> = const { RefCell::new(Vec::new()) };
    static COUNTS: [Cell<u64>; CALLS] = const { [const { Cell::new(0) }; CALLS] };
}

/// Tells whether this build has the seam, so that a test which needs it can say that it was skipped.
pub const ACTIVE: bool = cfg!(debug_assertions);

/// Counts a call that is about to be made, and fails it if a plan says so.
///
/// # Errors
/// What [`inject`] planned for this call.
#[inline]
pub fn check(call: Call) -> io::Result<()> {
    if ACTIVE { consult(call) } else { Ok(()) }
}

fn consult(call: Call) -> io::Result<()> {
    COUNTS.with(|counts| {
        let count = &counts[call as usize];
        count.set(count.get() + 1);
    });
    // At the end of a thread the plans are gone, and every call goes through.
    PLANS.try_with(|plans| planned(&mut plans.borrow_mut(), call)).unwrap_or(Ok(()))
}

fn planned(plans: &mut [Plan], call: Call) -> io::Result<()> {
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

/// Lets the next `pass` calls of this thread through and fails the `fail` calls after them with `errno`.
pub fn inject(call: Call, pass: u32, fail: u32, errno: i32) {
    PLANS.with_borrow_mut(|plans| plans.push(Plan { call, pass, fail, errno }));
}

/// How often this thread has made the call, failed ones included.
pub fn calls(call: Call) -> u64 {
    COUNTS.with(|counts| counts[call as usize].get())
}
