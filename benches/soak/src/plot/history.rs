//! What a run has written, read again.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::records::act_record::ActRecord;
use crate::records::load_report::{LoadReport, Second};
use crate::records::server_report::Sample;

/// A part of a run, in seconds since its begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Window {
    /// All of a run.
    pub(crate) const WHOLE: Window = Window { from: 0.0, to: f64::INFINITY };

    fn contains(&self, seconds: f64) -> bool {
        (self.from..=self.to).contains(&seconds)
    }
}

/// The records of a run that a window contains, in the order of their times.
pub(crate) struct History {
    pub(crate) window: Window,
    pub(crate) samples: Vec<Sample>,
    pub(crate) seconds: Vec<Second>,
    pub(crate) acts: Vec<ActRecord>,
    /// The live bytes of the single server at each rest. Empty if the run has no summary.
    pub(crate) rests: Vec<(f64, f64)>,
}

/// The part of the summary that is drawn.
#[derive(Default, Deserialize)]
struct Rests {
    live_bytes_at_rest: Vec<(f64, f64)>,
}

impl History {
    /// Reads the files of a directory.
    ///
    /// # Errors
    /// A file cannot be read or parsed, or the window contains no sample.
    pub(crate) fn read(directory: &Path, window: Window) -> Result<History, Box<dyn Error>> {
        let mut samples: Vec<Sample> = read_lines(&directory.join("samples.jsonl"))?;
        samples.retain(|sample| window.contains(sample.at));
        let last = samples.last().ok_or("there are no samples")?.at;
        let reports: Vec<LoadReport> = read_lines(&directory.join("load.jsonl"))?;
        let seconds = reports.into_iter().filter_map(|report| match report {
            LoadReport::Second(second) if window.contains(second.at) => Some(second),
            _ => None,
        });
        let mut acts: Vec<ActRecord> = read_lines(&directory.join("acts.jsonl"))?;
        acts.retain(|act| window.contains(act.begin) && !act.note.starts_with("skipped"));
        acts.sort_by(|a, b| a.begin.total_cmp(&b.begin));
        let summary = fs::read_to_string(directory.join("summary.json"));
        let rests: Rests =
            summary.map_or(Ok(Rests::default()), |text| serde_json::from_str(&text))?;
        let mut rests = rests.live_bytes_at_rest;
        rests.retain(|(at, _)| window.contains(*at));
        let window = Window { to: window.to.min(last), ..window };
        Ok(History { window, seconds: seconds.collect(), samples, acts, rests })
    }

    /// Whether a sample of this time is the one that was judged at a rest.
    pub(crate) fn is_rest(&self, seconds: f64) -> bool {
        self.rests.iter().any(|(at, _)| (at - seconds).abs() < 0.5)
    }

    /// The samples of the server with one loop.
    pub(crate) fn single(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(|sample| sample.worker.is_none())
    }
}

/// Reads one record a line. A last line without its end, of a run that was killed, is left out.
fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let records = lines.map(|line| serde_json::from_str(line));
    Ok(records.collect::<Result<_, _>>().map_err(|error| format!("{}: {error}", path.display()))?)
}
