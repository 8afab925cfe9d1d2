//! The pictures of a run: memory, holdings, latency.

use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use plotters::prelude::{IntoLogRange, RGBColor};

use crate::plot::curve::Curve;
use crate::plot::history::{History, Window};
use crate::plot::panel::{INK, Panel};
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
        dots: Vec::new(),
        acts: &history.acts,
        label: |value| format!("{value}"),
    }
}

fn draw_memory(history: &History, path: &Path) -> Result<(), Box<dyn Error>> {
    let live = |sample: &Sample| (sample.at, sample.live_bytes as f64 / MEBIBYTE);
    let resident = |sample: &Sample| (sample.at, sample.resident_bytes as f64 / MEBIBYTE);
    let curves = vec![
        Curve::new("resident", GREY, history.single().map(resident)),
        Curve::new("live bytes", BLUE, history.single().map(live)),
    ];
    let most = curves.iter().map(Curve::max).fold(1.0, f64::max);
    let rests = history.rests.iter().map(|(at, bytes)| (*at, bytes / MEBIBYTE));
    let panel = Panel {
        dots: vec![Curve::new("live bytes at rest", INK, rests)],
        label: |value| format!("{value} MiB"),
        ..panel(history, "Memory of the server with one loop", curves)
    };
    panel.draw(path, 0.0..most * 1.1)
}

/// What a server holds a number of.
struct Value {
    name: &'static str,
    color: RGBColor,
    of: fn(&Sample) -> usize,
}

fn draw_holdings(history: &History, path: &Path) -> Result<(), Box<dyn Error>> {
    // A logarithm of zero cannot be drawn: the axis begins at one half.
    let count = |count: usize| (count as f64).max(0.5);
    let values = [
        Value { name: "descriptors", color: BLUE, of: |sample| sample.descriptors },
        Value { name: "tasks", color: ORANGE, of: |sample| sample.tasks },
        Value { name: "timers", color: GREEN, of: |sample| sample.timers },
    ];
    let curve = |value: &Value| {
        let samples = history.single();
        let points = samples.map(|sample| (sample.at, count((value.of)(sample))));
        Curve::new(value.name, value.color, points)
    };
    // A sample at rest is drawn as a dot, which stays visible where curves lie over each other.
    let at_rest = |value: &Value| {
        let samples = history.single().filter(|sample| history.is_rest(sample.at));
        Curve::new("", value.color, samples.map(|sample| (sample.at, count((value.of)(sample)))))
    };
    let curves: Vec<_> = values.iter().map(curve).collect();
    let most = curves.iter().map(Curve::max).fold(1.0, f64::max);
    let label = |value: f64| if value < 1.0 { "0".into() } else { format!("{value}") };
    let dots = values.iter().map(at_rest).collect();
    let title = "What the server with one loop holds";
    let panel = Panel { label, dots, ..panel(history, title, curves) };
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
