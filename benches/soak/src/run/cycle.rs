//! A cycle: load and chaos for some time, then rest.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::chaos::stage::Stage;
use crate::chaos::{Outcome, Planned, Schedule, carry_out};
use crate::records::act_record::ActRecord;
use crate::run::child_process::ChildProcess;
use crate::run::journal::Journal;
use crate::run::progress::Progress;
use crate::run_clock::RunClock;

/// The load pauses when its last requests are answered, or have found that the server hangs.
const PAUSE_LIMIT: Duration = Duration::from_secs(30);
const TICK: Duration = Duration::from_millis(200);

/// What a cycle needs.
pub(crate) struct Cycle<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) journal: &'a Journal,
    pub(crate) progress: &'a Progress,
    pub(crate) clock: RunClock,
}

impl Cycle<'_> {
    /// Runs the load and the acts for `time`. Returns when the load pauses and all acts have ended.
    pub(crate) fn run(
        &self,
        load: &mut ChildProcess,
        schedule: &Schedule,
        time: Duration,
    ) -> io::Result<()> {
        let begin = Instant::now();
        self.journal.state().is_paused = false;
        load.tell("resume")?;
        thread::scope(|scope| {
            for planned in &schedule.acts {
                scope.spawn(|| self.carry_out(planned, begin, schedule.span));
            }
            while begin.elapsed() < time && !self.stage.ending.wait(TICK) {
                self.progress.show(self.clock.seconds(), &self.journal.state());
            }
        });
        load.tell("pause")?;
        if !self.journal.wait(PAUSE_LIMIT, |state| state.is_paused) {
            self.journal.violated("the load does not come to rest".into());
        }
        self.journal.judge_failures();
        Ok(())
    }

    fn carry_out(&self, planned: &Planned, cycle_begin: Instant, span: Duration) {
        let wait = (cycle_begin + planned.begin).saturating_duration_since(Instant::now());
        if self.stage.ending.wait(wait) {
            return;
        }
        let act = planned.act;
        let begin = self.clock.seconds();
        let mut random = fastrand::Rng::with_seed(planned.seed);
        let outcome = carry_out(act, self.stage, span, &mut random);
        let end = self.clock.seconds();
        let note = match outcome {
            Outcome::Done(note) => note,
            Outcome::Skipped(why) => {
                self.journal.skipped(format!("skipped: {}: {why}", act.name()));
                format!("skipped: {why}")
            }
            Outcome::Violation(what) => {
                self.journal.violated(format!("{} at {begin:.1}: {what}", act.name()));
                format!("violation: {what}")
            }
        };
        self.journal.take_act(ActRecord { act, begin, end, note });
    }
}
