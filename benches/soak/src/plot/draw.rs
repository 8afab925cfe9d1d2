//! The pictures of a run: memory, holdings, latency.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use plotters::prelude::{IntoLogRange, RGBColor};

use crate::plot::curve::Curve;
use crate::plot::history::{History, Window};
use crate::plot::panel::Panel;
use crate::records::failure::Target;
use crate::records::load_report::Second;
use crate::records::server_report::Sample;

const BLUE: RGBColor = RGBColor(37, 99, 235);
const ORANGE: RGBColor = RGBColor(217, 119, 6);
const RED: RGBColor = RGBColor(190, 18, 60);
const GREEN: RGBColor = RGBColor(5, 150, 105);
const GREY: RGBColor = RGBColor(156, 163, 175);
const MEBIBYTE: f64 = 1_048_576.0;

/// Draws the records of `directory` into `files`-memory.svg, `files`-holdings.svg and
/// `files`-latency.svg.
///
/// # Errors
/// The records cannot be read, or a picture cannot be written.
pub(crate) fn draw(directory: &Path, files: &Path, window: Window) -> Result<(), Box<dyn Error>> {
    let history = History::read(directory, window)?;
    draw_memory(&history, &named(files, "memory"))?;
    draw_holdings(&history, &named(files, "holdings"))?;
    draw_latency(&history, &named(files, "latency"))
}

fn named(files: &Path, what: &str) -> PathBuf {
    let mut name = OsString::from(files);
    name.push(format!("-{what}.svg"));
    println!("{}", name.display());
    name.into()
}

fn panel<'a>(history: &'a History, title: &str, curves: Vec<Curve>) -> Panel<'a> {
    let Window { from, to } = history.window;
    Panel {
        title: title.into(),
        minutes: from / 60.0..to / 60.0,
        curves,
        dots: None,
        acts: &history.acts,
        label: |value| format!("{value}"),
    }
}

/// A curve of the single server, or of all workers.
fn of_samples(
    history: &History,
    is_worker: bool,
    name: &'static str,
    color: RGBColor,
    value: impl Fn(&Sample) -> f64,
) -> Curve {
    let samples = history.samples.iter().filter(|sample| sample.worker.is_some() == is_worker);
    Curve::new(name, color, samples.map(|sample| (sample.at, value(sample))))
}

fn draw_memory(history: &History, path: &Path) -> Result<(), Box<dyn Error>> {
    let live = |sample: &Sample| sample.live_bytes as f64 / MEBIBYTE;
    let resident = |sample: &Sample| sample.resident_bytes as f64 / MEBIBYTE;
    let curves = vec![
        of_samples(history, false, "resident", GREY, resident),
        of_samples(history, false, "live bytes", BLUE, live),
    ];
    let most = curves.iter().map(Curve::max).fold(1.0, f64::max);
    let rests = history.rests.iter().map(|(at, bytes)| (*at, bytes / MEBIBYTE)).collect();
    let panel = Panel {
        dots: Some(("live bytes at rest", rests)),
        label: |value| format!("{value} MiB"),
        ..panel(history, "Memory of the server with one loop", curves)
    };
    panel.draw(path, 0.0..most * 1.1)
}

fn draw_holdings(history: &History, path: &Path) -> Result<(), Box<dyn Error>> {
    // A logarithm of zero cannot be drawn: the axis begins at one half.
    let count = |count: usize| (count as f64).max(0.5);
    let curves = vec![
        of_samples(history, false, "descriptors", BLUE, |sample| count(sample.descriptors)),
        of_samples(history, false, "tasks", ORANGE, |sample| count(sample.tasks)),
        of_samples(history, false, "timers", GREEN, |sample| count(sample.timers)),
    ];
    let most = curves.iter().map(Curve::max).fold(1.0, f64::max);
    let label = |value: f64| if value < 1.0 { "0".into() } else { format!("{value}") };
    let panel = Panel { label, ..panel(history, "What the server with one loop holds", curves) };
    panel.draw(path, (0.5..most * 2.0).log_scale())
}

fn draw_latency(history: &History, path: &Path) -> Result<(), Box<dyn Error>> {
    let of = |name, color, value: fn(&Second) -> f64| {
        let seconds = history.seconds.iter().filter(|second| second.target == Target::Single);
        Curve::new(name, color, seconds.map(|second| (second.at, value(second) * 1000.0)))
    };
    let curves = vec![
        of("slowest", RED, |second| second.max),
        of("p99", ORANGE, |second| second.p99),
        of("p50", BLUE, |second| second.p50),
    ];
    let most = curves.iter().map(Curve::max).fold(1.0, f64::max);
    let title = "Latency of well-behaved clients, from when a request is due, each second";
    let panel = Panel { label: |value| format!("{value} ms"), ..panel(history, title, curves) };
    panel.draw(path, (0.05..most * 2.0).log_scale())
}
