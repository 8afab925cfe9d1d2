//! When acts begin.

use std::time::Duration;

use crate::records::act::Act;

/// The acts of one cycle, in the order of their beginnings.
pub(crate) struct Schedule {
    pub(crate) acts: Vec<Planned>,
    /// How long an act may last.
    pub(crate) span: Duration,
}

/// An act, and when it begins after the cycle's begin.
pub(crate) struct Planned {
    pub(crate) act: Act,
    pub(crate) begin: Duration,
    pub(crate) seed: u64,
}

/// The longest span of an act.
const MAX_SPAN: Duration = Duration::from_secs(6);

/// How far apart the acts of a rehearsal begin.
const REHEARSAL_STEP: Duration = Duration::from_millis(50);
/// How long before the crowd leaves the server stops: half of the time that it stands still.
const STOP_BEFORE_THE_END: Duration = Duration::from_millis(500);

impl Schedule {
    /// Places every act once, and the kills twice, at random times of a cycle. They end before the
    /// cycle does.
    pub(crate) fn new(cycle: Duration, random: &mut fastrand::Rng) -> Schedule {
        let span = MAX_SPAN.min(cycle / 2);
        let latest = cycle.saturating_sub(span).as_secs_f64();
        let mut acts: Vec<Planned> = Act::ALL
            .into_iter()
            .chain([Act::KillWorker])
            .map(|act| {
                let begin = Duration::from_secs_f64(random.f64() * latest);
                Planned { act, begin, seed: random.u64(..) }
            })
            .collect();
        acts.sort_by_key(|planned| planned.begin);
        Schedule { acts, span }
    }

    /// As [`new`](Self::new), but all together: the crowd first, the others when it is complete, and the
    /// crowd leaves while the server stands still. So the caches and tables of the servers grow to the
    /// size that the most clients need, and not in a later cycle.
    pub(crate) fn rehearsal(cycle: Duration, random: &mut fastrand::Rng) -> Schedule {
        let mut schedule = Schedule::new(cycle, random);
        let span = schedule.span;
        for (planned, place) in schedule.acts.iter_mut().zip(0..) {
            planned.begin = match planned.act {
                Act::IdleCrowd => Duration::ZERO,
                Act::Stop => span - STOP_BEFORE_THE_END,
                _ => span / 2 + REHEARSAL_STEP * place,
            };
        }
        schedule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_schedule_and_every_act_ends_within_the_cycle() {
        let cycle = Duration::from_secs(30);
        let schedule = |seed| Schedule::new(cycle, &mut fastrand::Rng::with_seed(seed));
        let begins = |seed| -> Vec<_> {
            schedule(seed).acts.iter().map(|planned| (planned.act, planned.begin)).collect()
        };
        assert_eq!(begins(1), begins(1));
        assert_ne!(begins(1), begins(2));
        for act in Act::ALL {
            assert!(begins(1).iter().any(|(planned, _)| *planned == act), "{act:?}");
        }
        let rehearsal = Schedule::rehearsal(cycle, &mut fastrand::Rng::with_seed(1));
        for one in [schedule(1), rehearsal] {
            assert!(one.acts.iter().all(|planned| planned.begin + one.span <= cycle));
        }
    }
}
