//! The acts, and which failures of well-behaved clients each of them excuses.

use serde::{Deserialize, Serialize};

use crate::records::failure::{Failure, How, Kind, Target};

/// An act of chaos.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Act {
    /// Clients reset their connections in the middle of answers.
    Resets,
    /// The kernel aborts connections in the middle of answers: `ss -K`.
    SocketKills,
    /// Clients leave in the middle of requests and of answers.
    Leavers,
    /// Clients end their sending half after the request, and must get the whole answer.
    HalfCloses,
    /// Clients send what is no HTTP, and must get 400.
    Garbage,
    /// Clients read long answers slowly, or not at all.
    SlowReaders,
    /// Clients send a byte of a head now and then, and must be cut off.
    SlowLoris,
    /// Thousands of connections that stay open, and of which some ask for something.
    IdleCrowd,
    /// The server has no free descriptor.
    Emfile,
    /// The server stands still for a second, and finds a burst of requests.
    Stop,
    /// The server can start no thread.
    PidsCap,
    /// A worker is killed.
    KillWorker,
    /// The workers are replaced one by one.
    RollingRestart,
    /// A worker takes all the memory that it may have, and is killed by the kernel.
    MemoryHog,
}

impl Act {
    pub(crate) const ALL: [Act; 14] = [
        Act::Resets,
        Act::SocketKills,
        Act::Leavers,
        Act::HalfCloses,
        Act::Garbage,
        Act::SlowReaders,
        Act::SlowLoris,
        Act::IdleCrowd,
        Act::Emfile,
        Act::Stop,
        Act::PidsCap,
        Act::KillWorker,
        Act::RollingRestart,
        Act::MemoryHog,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Act::Resets => "resets",
            Act::SocketKills => "ss -K",
            Act::Leavers => "leavers",
            Act::HalfCloses => "half-closes",
            Act::Garbage => "garbage",
            Act::SlowReaders => "slow readers",
            Act::SlowLoris => "slow-loris",
            Act::IdleCrowd => "idle crowd",
            Act::Emfile => "EMFILE",
            Act::Stop => "SIGSTOP",
            Act::PidsCap => "pids cap",
            Act::KillWorker => "SIGKILL",
            Act::RollingRestart => "restart",
            Act::MemoryHog => "memory cap",
        }
    }

    /// Whether a failure is no fault of the server if it happens during this act.
    pub(crate) fn excuses(self, failure: &Failure) -> bool {
        match self {
            Act::KillWorker | Act::MemoryHog => {
                failure.target == Target::Prefork && matches!(failure.how, How::Cut | How::Stale)
            }
            // Workers that are replaced close their idle connections.
            Act::RollingRestart => failure.target == Target::Prefork && failure.how == How::Stale,
            // A file needs a descriptor, and a job may need a thread. Both are refused in order.
            Act::Emfile => is_refused(failure) && failure.kind == Kind::File,
            Act::PidsCap => is_refused(failure) && matches!(failure.kind, Kind::Job | Kind::File),
            _ => false,
        }
    }
}

fn is_refused(failure: &Failure) -> bool {
    failure.target == Target::Single && matches!(failure.how, How::Status(500 | 503))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(target: Target, kind: Kind, how: How) -> Failure {
        Failure { begun: 1.0, at: 2.0, target, kind, how, detail: String::new() }
    }

    #[test]
    fn no_act_excuses_a_hang_or_a_wrong_answer() {
        for act in Act::ALL {
            for target in [Target::Single, Target::Prefork] {
                for how in [How::Hang, How::Wrong, How::Refused] {
                    assert!(!act.excuses(&failure(target, Kind::File, how)), "{act:?}, {how:?}");
                }
            }
        }
    }

    #[test]
    fn only_the_end_of_a_worker_excuses_a_cut_answer_and_only_of_its_server() {
        let cut = |target| failure(target, Kind::Stream, How::Cut);
        for act in Act::ALL {
            let ends_a_worker = matches!(act, Act::KillWorker | Act::MemoryHog);
            assert_eq!(act.excuses(&cut(Target::Prefork)), ends_a_worker, "{act:?}");
            assert!(!act.excuses(&cut(Target::Single)), "{act:?}");
        }
    }

    #[test]
    fn a_limit_excuses_what_needs_what_it_limits() {
        let refused = |kind| failure(Target::Single, kind, How::Status(503));
        assert!(Act::PidsCap.excuses(&refused(Kind::Job)));
        assert!(!Act::PidsCap.excuses(&refused(Kind::Hello)));
        assert!(Act::Emfile.excuses(&failure(Target::Single, Kind::File, How::Status(500))));
        assert!(!Act::Emfile.excuses(&refused(Kind::Job)));
    }
}
