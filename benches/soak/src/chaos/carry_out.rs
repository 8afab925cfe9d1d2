//! Carries acts out.

use std::time::Duration;

use crate::chaos::outcome::Outcome;
use crate::chaos::stage::Stage;
use crate::chaos::{clients, crowds, limits, processes};
use crate::records::act::Act;

/// Carries an act out, in about `span`.
pub(crate) fn carry_out(
    act: Act,
    stage: &Stage,
    span: Duration,
    random: &mut fastrand::Rng,
) -> Outcome {
    match act {
        Act::Resets => clients::resets(stage, random),
        Act::SocketKills => clients::socket_kills(stage),
        Act::Leavers => clients::leavers(stage, random),
        Act::HalfCloses => clients::half_closes(stage, random),
        Act::Garbage => clients::garbage(stage),
        Act::SlowReaders => crowds::slow_readers(stage, span),
        Act::SlowLoris => crowds::slow_loris(stage, span),
        Act::IdleCrowd => crowds::idle_crowd(stage, span),
        Act::Emfile => limits::emfile(stage, span),
        Act::PidsCap => limits::pids_cap(stage, span),
        Act::MemoryHog => limits::memory_hog(stage),
        Act::Stop => processes::stop(stage),
        Act::KillWorker => processes::kill_worker(stage, random),
        Act::RollingRestart => processes::rolling_restart(stage),
    }
}
