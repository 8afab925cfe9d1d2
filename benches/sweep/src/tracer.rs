//! Runs the program under ptrace(2), counts its system calls, and does the fault of a point to one.
//!
//! The program asks to be traced and stops itself; its threads and the processes that it forks are
//! traced from their birth. Each system call stops twice:
//!
//! ```text
//!   entry    count; for an error, replace the number of the call by -1, so that the kernel does nothing
//!   exit     write the error into the result
//! ```
//!
//! A process is let go at its second SIGSTOP, which marks the end of the sweep there, and when it runs
//! another program.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::net::{Shutdown, connect_unspec, shutdown};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::fault::{DELAY, Fault};
use crate::point::Point;
use crate::system_call::{CALLS, SystemCall, Work};

/// How a traced program has run.
#[derive(Debug)]
pub(crate) struct Trace {
    /// The swept calls up to the fault, in order.
    pub(crate) calls: Vec<&'static SystemCall>,
    /// How many calls got the fault.
    pub(crate) hits: u32,
    pub(crate) ending: Ending,
    pub(crate) output: String,
    pub(crate) errors: String,
}

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Exited(i32),
    Killed(Signal),
}

/// What is to be done when a call that was entered returns.
#[derive(Clone, Copy, Debug)]
enum AtExit {
    Nothing,
    Fail(Errno),
    Delay,
}

/// A thread that is traced.
#[derive(Clone, Copy, Debug, Default)]
struct Tracee {
    /// `Some` from the entry of a call to its exit.
    entered: Option<AtExit>,
}

struct Tracer<'a> {
    point: Option<&'a Point>,
    program: Pid,
    tracees: HashMap<Pid, Tracee>,
    counts: [u32; CALLS.len()],
    calls: Vec<&'static SystemCall>,
    hits: u32,
    /// Whether the program itself has reached the end of the sweep.
    is_over: bool,
    ending: Option<Ending>,
}

/// Runs a program to its end, with the fault of a point or without a fault.
///
/// # Errors
/// That the program cannot be started or traced, or does not write text.
pub(crate) fn run(command: &mut Command, point: Option<&Point>) -> io::Result<Trace> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut tracer = Tracer {
        point,
        program: pid_of(&child),
        tracees: HashMap::new(),
        counts: [0; CALLS.len()],
        calls: Vec::new(),
        hits: 0,
        is_over: false,
        ending: None,
    };
    let traced = tracer.trace();
    if traced.is_err() {
        let _ = child.kill(); // fails if it has ended
    }
    traced?;
    let (mut output, mut errors) = (String::new(), String::new());
    if let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) {
        stdout.read_to_string(&mut output)?;
        stderr.read_to_string(&mut errors)?;
    }
    let ending = tracer.ending.ok_or_else(|| io::Error::other("the program has no end"))?;
    Ok(Trace { calls: tracer.calls, hits: tracer.hits, ending, output, errors })
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

impl Tracer<'_> {
    /// Follows the program and all its descendants until the last of them has ended.
    fn trace(&mut self) -> nix::Result<()> {
        // Only the children of this thread: another thread may trace another program.
        let ours = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let outcome = match waitpid(None, Some(ours)) {
                Ok(status) => self.handle(status),
                Err(Errno::ECHILD) => return Ok(()),
                Err(Errno::EINTR) => Ok(()),
                Err(errno) => Err(errno),
            };
            match outcome {
                // A thread that was killed while it was stopped; its end follows.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn handle(&mut self, status: WaitStatus) -> nix::Result<()> {
        match status {
            WaitStatus::PtraceSyscall(pid) => self.at_call(pid),
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => self.let_go(pid),
            WaitStatus::PtraceEvent(pid, ..) => self.resume(pid, None),
            WaitStatus::Stopped(pid, Signal::SIGSTOP) => self.at_mark(pid),
            WaitStatus::Stopped(pid, signal) => self.resume(pid, Some(signal)),
            WaitStatus::Exited(pid, code) => self.at_end(pid, Ending::Exited(code)),
            WaitStatus::Signaled(pid, signal, _) => self.at_end(pid, Ending::Killed(signal)),
            _ => Ok(()),
        }
    }

    /// The first stop of a thread or process is the begin of its sweep, the second the end.
    fn at_mark(&mut self, pid: Pid) -> nix::Result<()> {
        if self.tracees.contains_key(&pid) {
            self.is_over |= self.is_of_program(pid);
            return self.let_go(pid);
        }
        if self.tracees.is_empty() {
            // Inherited by the threads and processes that the first one makes.
            let births = Options::PTRACE_O_TRACECLONE
                | Options::PTRACE_O_TRACEFORK
                | Options::PTRACE_O_TRACEVFORK;
            let others = Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
            ptrace::setoptions(pid, births | others | Options::PTRACE_O_TRACESYSGOOD)?;
        }
        self.tracees.insert(pid, Tracee::default());
        self.resume(pid, None)
    }

    /// Whether a thread belongs to the program itself, and not to a process that it has forked.
    fn is_of_program(&self, thread: Pid) -> bool {
        Path::new(&format!("/proc/{}/task/{thread}", self.program)).exists()
    }

    fn let_go(&mut self, pid: Pid) -> nix::Result<()> {
        ptrace::detach(pid, None)
    }

    fn at_end(&mut self, pid: Pid, ending: Ending) -> nix::Result<()> {
        self.tracees.remove(&pid);
        if pid == self.program {
            self.ending = Some(ending);
            if ending != Ending::Exited(0) {
                for tracee in self.tracees.keys() {
                    let _ = kill(*tracee, Signal::SIGKILL); // fails if it has ended
                }
            }
        }
        Ok(())
    }

    /// Lets a thread run to its next call, or freely when no call can get the fault any more.
    fn resume(&self, pid: Pid, signal: Option<Signal>) -> nix::Result<()> {
        let is_done = self.hits > 0 && self.point.is_some_and(|point| point.step.is_none());
        let is_held = self
            .tracees
            .get(&pid)
            .is_some_and(|tracee| matches!(tracee.entered, Some(AtExit::Fail(_) | AtExit::Delay)));
        if (is_done || self.is_over) && !is_held {
            ptrace::cont(pid, signal)
        } else {
            ptrace::syscall(pid, signal)
        }
    }

    fn at_call(&mut self, pid: Pid) -> nix::Result<()> {
        let entered = self.tracees.entry(pid).or_default().entered;
        let entered = match entered {
            None => Some(self.at_entry(pid)?),
            Some(at_exit) => {
                at_exit.act(pid)?;
                None
            }
        };
        self.tracees.insert(pid, Tracee { entered });
        self.resume(pid, None)
    }

    /// Counts a call, and does to it what is done before the kernel's work.
    fn at_entry(&mut self, pid: Pid) -> nix::Result<AtExit> {
        if self.is_over {
            return Ok(AtExit::Nothing);
        }
        let mut registers = ptrace::getregs(pid)?;
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
        let Some(call) = SystemCall::of(registers.orig_rax.cast_signed(), &arguments) else {
            return Ok(AtExit::Nothing);
        };
        self.calls.push(call);
        let count = &mut self.counts[call.index()];
        *count += 1;
        let is_hit = |point: &&Point| point.call == call.name && point.hits(*count);
        let Some(point) = self.point.filter(is_hit) else { return Ok(AtExit::Nothing) };
        self.hits += 1;
        match point.fault {
            Fault::Error(errno) => {
                let work = call.work(errno);
                if work == Work::End {
                    end_connection(pid, registers.rdi);
                }
                if work != Work::All {
                    registers.orig_rax = u64::MAX;
                    ptrace::setregs(pid, registers)?;
                }
                Ok(AtExit::Fail(errno))
            }
            Fault::DelayBefore => {
                thread::sleep(DELAY);
                Ok(AtExit::Nothing)
            }
            Fault::DelayAfter => Ok(AtExit::Delay),
            Fault::Shorten => {
                registers.rdx = registers.rdx.min(1);
                ptrace::setregs(pid, registers)?;
                Ok(AtExit::Nothing)
            }
            Fault::ShortenSocket(_) => Ok(AtExit::Nothing), // by the program itself
        }
    }
}

/// Ends the connection of a socket of another process, as its death would: by a reset, or by a
/// shutdown if it has none.
fn end_connection(thread: Pid, socket: u64) {
    let end = || {
        let status = fs::read_to_string(format!("/proc/{thread}/status"))?;
        let group = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
        let group =
            group.and_then(rustix::process::Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        let process = pidfd_open(group, PidfdFlags::empty())?;
        let number = i32::try_from(socket).map_err(io::Error::other)?;
        let socket = pidfd_getfd(process, number, PidfdGetfdFlags::empty())?;
        if connect_unspec(&socket).is_err() {
            shutdown(&socket, Shutdown::Both)?;
        }
        io::Result::Ok(())
    };
    let _ = end(); // a datagram socket has no connection
}

impl AtExit {
    fn act(self, pid: Pid) -> nix::Result<()> {
        match self {
            AtExit::Nothing => {}
            AtExit::Fail(errno) => {
                let mut registers = ptrace::getregs(pid)?;
                registers.rax = i64::from(-(errno as i32)).cast_unsigned();
                ptrace::setregs(pid, registers)?;
            }
            AtExit::Delay => thread::sleep(DELAY),
        }
        Ok(())
    }
}
