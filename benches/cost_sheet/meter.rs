//! Marks where the operations of a run begin and end, for the tools that this program runs under.

use std::fs;
use std::hint::black_box;
use std::iter;

/// The operations in the shorter and in the longer run, whose difference is the cost. They are
/// multiples of 60, because [`servers`](crate::operations) serves 60 requests in a turn.
pub(crate) const SHORT: usize = 60;
pub(crate) const LONG: usize = 660;

/// What a run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The operations, with what must stand around them.
    Whole,
    /// Only what stands around them. Its cost is subtracted.
    Frame,
}

/// Names the runs of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Meter {
    name: &'static str,
}

/// Some operations in a row.
pub(crate) struct Run {
    pub(crate) count: usize,
    /// `None`: not measured.
    label: Option<Label>,
}

/// Names a measured run. The program prints one line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) part: Part,
    pub(crate) is_long: bool,
    pub(crate) name: String,
}

impl Meter {
    pub(crate) fn new(name: &'static str) -> Meter {
        Meter { name }
    }

    /// The runs of the operation. The first fills pools and tables, and is not measured.
    pub(crate) fn runs(self) -> impl Iterator<Item = Run> {
        self.runs_of(Part::Whole)
    }

    /// The runs of the operation's frame.
    pub(crate) fn frame(self) -> impl Iterator<Item = Run> {
        self.runs_of(Part::Frame)
    }

    fn runs_of(self, part: Part) -> impl Iterator<Item = Run> {
        let run = move |is_long| Run {
            count: if is_long { LONG } else { SHORT },
            label: Some(Label { part, is_long, name: self.name.to_owned() }),
        };
        iter::once(Run { count: LONG, label: None }).chain([false, true].map(run))
    }

    /// Measures an operation that needs nothing around it.
    pub(crate) fn measure<R>(self, operation: impl FnMut() -> R) {
        repeat(self.runs(), operation);
    }

    /// As [`measure`](Self::measure), for an operation that waits.
    pub(crate) async fn measure_async<R>(self, operation: impl AsyncFnMut() -> R) {
        repeat_async(self.runs(), operation).await;
    }

    /// Measures the frame of an operation.
    pub(crate) fn measure_frame<R>(self, operation: impl FnMut() -> R) {
        repeat(self.frame(), operation);
    }

    /// As [`measure_frame`](Self::measure_frame), for a frame that waits.
    pub(crate) async fn measure_frame_async<R>(self, operation: impl AsyncFnMut() -> R) {
        repeat_async(self.frame(), operation).await;
    }
}

fn repeat<R>(runs: impl Iterator<Item = Run>, mut operation: impl FnMut() -> R) {
    for run in runs {
        run.begin();
        for _ in 0..run.count {
            black_box(operation());
        }
        run.end();
    }
}

async fn repeat_async<R>(runs: impl Iterator<Item = Run>, mut operation: impl AsyncFnMut() -> R) {
    for run in runs {
        run.begin();
        for _ in 0..run.count {
            black_box(operation().await);
        }
        run.end();
    }
}

impl Run {
    pub(crate) fn begin(&self) {
        if let Some(label) = &self.label {
            println!("{label}");
            mark();
        }
    }

    pub(crate) fn end(&self) {
        if self.label.is_some() {
            mark();
        }
    }
}

/// What strace shows of a mark.
pub(crate) const MARK_PATH: &str = "/squall-cost-sheet";
/// The name of [`mark`] for callgrind.
pub(crate) const MARK_FUNCTION: &str = "cost_sheet::meter::mark";

/// Divides what the tools have counted before from what they count after. Its own cost is the same
/// in the shorter and in the longer run.
#[inline(never)]
fn mark() {
    let _ = fs::metadata(MARK_PATH); // does not exist
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = if self.part == Part::Whole { "whole" } else { "frame" };
        let length = if self.is_long { "long" } else { "short" };
        write!(f, "{part} {length} {}", self.name)
    }
}

impl Label {
    /// Parses a line that [`Run::begin`] has printed.
    pub(crate) fn parse(line: &str) -> Option<Label> {
        let mut words = line.splitn(3, ' ');
        let part = match words.next()? {
            "whole" => Part::Whole,
            "frame" => Part::Frame,
            _ => return None,
        };
        let is_long = words.next()? == "long";
        Some(Label { part, is_long, name: words.next()?.to_owned() })
    }
}
