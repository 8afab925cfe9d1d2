//! A progress bar on a terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::records::failure::Target;
use crate::run::journal::State;

pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(time: Duration) -> Progress {
        let style = "{elapsed} [{bar:30}] {percent} % {msg}";
        let style = ProgressStyle::with_template(style).expect("a valid template");
        Progress(ProgressBar::new(time.as_secs()).with_style(style.progress_chars("=> ")))
    }

    pub(crate) fn show(&self, seconds: f64, state: &State) {
        self.0.set_position(Duration::from_secs_f64(seconds).as_secs());
        let last = state.seconds.get(&Target::Single);
        let (answers, p99) = last.map_or((0, 0.0), |last| (last.answers, last.p99));
        self.0.set_message(format!(
            "{answers} answers/s, p99 {:.1} ms, {} answers, {} violations",
            p99 * 1000.0,
            state.answers,
            state.violations.len(),
        ));
    }

    /// Removes the bar.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}
