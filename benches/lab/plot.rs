//! Draws the pictures of a report as SVG.

mod axis;
mod bars;
mod canvas;
mod lines;
mod spans;
mod style;

use std::error::Error;
use std::fs;
use std::path::Path;

use plotters::element::{Rectangle, Text};
use plotters::prelude::{FontStyle, IntoDrawingArea, SVGBackend, WHITE};
use plotters::style::text_anchor::HPos;

use crate::report::Report;
use crate::table::Table;
use canvas::{Area, Drawn};
use spans::Spans;
use style::{FAINT_INK, INK, LABEL, RIM, SMALL, TITLE};

/// Panels side by side, each with a table's figures.
struct Picture {
    file: &'static str,
    /// How many panels stand in a row.
    across: usize,
    panels: &'static [Panel],
}

struct Panel {
    table: &'static str,
    title: &'static str,
    /// What the figures are, below the title.
    unit: &'static str,
    kind: Kind,
}

enum Kind {
    /// A bar for the figure of each row in this column.
    Bars(usize),
    /// Percentiles on a logarithmic scale.
    Spans(Spans),
    /// A line for each row over all columns, whose titles are numbers.
    Lines,
}

impl Panel {
    const fn bars(
        table: &'static str,
        column: usize,
        title: &'static str,
        unit: &'static str,
    ) -> Panel {
        Panel { table, title, unit, kind: Kind::Bars(column) }
    }

    const fn late(columns: &'static [usize], title: &'static str) -> Panel {
        let unit = "µs late, on a logarithmic scale";
        let scale = &[0, 1, 2, 3, 4, 5, 6, 7]; // all panels have the same
        let kind = Kind::Spans(Spans { columns, marks: &["p50", "p99"], scale });
        Panel { table: "timer-error", title, unit, kind }
    }

    const fn latency(table: &'static str, title: &'static str) -> Panel {
        let columns = &[1, 2, 3];
        let spans = Spans { columns, marks: &["p50", "p99", "p99.9"], scale: columns };
        let kind = Kind::Spans(spans);
        Panel { table, title, unit: "µs from when a request is due, on a logarithmic scale", kind }
    }

    const fn lines(table: &'static str, title: &'static str, unit: &'static str) -> Panel {
        Panel { table, title, unit, kind: Kind::Lines }
    }
}

const CPU: &str = "µs of CPU a request";
const INSTRUCTIONS: &str = "instructions a request in user space";

#[rustfmt::skip] // one line for each panel
static PICTURES: &[Picture] = &[
    Picture { file: "lab-echo.svg", across: 2, panels: &[
        Panel::bars("echo", 0, "Echo of 64 bytes", CPU),
        Panel::bars("connection", 0, "A connection for each echo", "µs of CPU a connection"),
    ] },
    Picture { file: "lab-connections.svg", across: 1, panels: &[
        Panel::lines("connections", "Echo on at most 64 of many open connections", "µs of CPU a request, over open connections"),
    ] },
    Picture { file: "lab-instructions.svg", across: 2, panels: &[
        Panel::bars("instructions", 0, "Echo of 64 bytes", INSTRUCTIONS),
        Panel::bars("instructions", 3, "A connection for each echo", INSTRUCTIONS),
        Panel::bars("instructions", 4, "HTTP", INSTRUCTIONS),
        Panel::bars("instructions", 5, "HTTP, 16 at once", INSTRUCTIONS),
    ] },
    Picture { file: "lab-http.svg", across: 2, panels: &[
        Panel::bars("http", 0, "HTTP, one request at a time", CPU),
        Panel::bars("http-pipelined", 0, "HTTP, 16 requests at once", CPU),
        Panel::bars("http-close", 0, "HTTP, a connection for each", CPU),
        Panel::bars("http-echo", 0, "HTTP, 10 KiB by POST and back", CPU),
        Panel::bars("http-file", 0, "HTTP, a file of 1 MiB", "µs of CPU a file"),
        Panel::bars("http-client-small-64", 0, "HTTP client, 64 at a time", CPU),
    ] },
    Picture { file: "lab-latency.svg", across: 1, panels: &[
        Panel::latency("http-latency-half", "HTTP at half of the rate that each server reaches"),
        Panel::latency("http-latency-same", "HTTP at the same rate for all"),
    ] },
    Picture { file: "lab-idle.svg", across: 2, panels: &[
        Panel::bars("idle", 0, "An idle connection: heap", "bytes each, with the handler's buffer"),
        Panel::bars("idle", 1, "Without the handler's buffer", "bytes each"),
    ] },
    Picture { file: "lab-timer-error.svg", across: 2, panels: &[
        Panel::late(&[0, 1], "A sleep of 50 µs"),
        Panel::late(&[2, 3], "A sleep of 500 µs"),
        Panel::late(&[4, 5], "A sleep of 5 ms"),
        Panel::late(&[6, 7], "A sleep of 50 ms"),
    ] },
    Picture { file: "lab-timers.svg", across: 2, panels: &[
        Panel::lines("timers-cancel", "Arm a timer and cancel it", "ns of CPU, over armed timers"),
        Panel::lines("timers-fire", "Fire a timer", "ns of CPU, over armed timers"),
    ] },
];

const WIDTH: i32 = 800;
/// Pixels around each panel.
const MARGIN: i32 = 18;
/// Pixels for the title of a panel.
const HEAD: i32 = 44;
/// Pixels for the origin of the figures.
const FOOT: i32 = 26;

/// Draws the pictures whose tables the report has, and names the others.
pub(crate) fn draw(report: &Report, directory: &Path) -> Drawn {
    for picture in PICTURES {
        let tables = picture.panels.iter().map(|panel| report.table(panel.table));
        match tables.collect::<Option<Vec<_>>>() {
            Some(tables) => {
                let svg = svg(report, picture, &tables)
                    .map_err(|error| format!("{}: {error}", picture.file))?;
                fs::write(directory.join(picture.file), svg)?;
            }
            None => println!("not drawn: {} needs more tables", picture.file),
        }
    }
    Ok(())
}

fn svg(report: &Report, picture: &Picture, tables: &[&Table]) -> Result<String, Box<dyn Error>> {
    let panels: Vec<_> = picture.panels.iter().zip(tables).collect();
    let rows: Vec<_> = panels.chunks(picture.across).collect();
    let row_height = |row: &&[(&Panel, &&Table)]| {
        let heights = row.iter().map(|(panel, table)| panel.height(table));
        heights.max().unwrap_or(0) + HEAD + MARGIN
    };
    let height = rows.iter().map(row_height).sum::<i32>() + MARGIN + FOOT;
    let mut svg = String::new();
    {
        let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let rim = [(0, 0), (WIDTH - 1, height - 1)];
        area.draw(&Rectangle::new(rim, style::line(RIM, 1)))?;
        let mut top = MARGIN;
        let width = (WIDTH - MARGIN) / i32::try_from(picture.across)?;
        for row in &rows {
            for ((panel, table), n) in row.iter().zip(0..) {
                let left = MARGIN + n * width;
                let inside =
                    area.clone().shrink((left, top), (width - MARGIN, HEAD + panel.height(table)));
                panel.draw(&inside, table)?;
            }
            top += row_height(row);
        }
        let style = style::text(SMALL, FontStyle::Normal, FAINT_INK, HPos::Left);
        let is_ranged = panels.iter().any(|(panel, table)| panel.shows_ranges(table));
        area.draw(&Text::new(foot(report, is_ranged), (MARGIN, height - FOOT + 4), style))?;
        area.present()?;
    }
    Ok(svg)
}

/// Where the figures come from, in a line.
fn foot(report: &Report, is_ranged: bool) -> String {
    let machine = &report.machine;
    let range = if is_ranged { "; thin lines: the range of the rounds" } else { "" };
    format!("{}, {}, {}, {}{range}", machine.date, machine.commit, machine.cpu, machine.kernel)
}

impl Panel {
    /// The height of the figures in pixels.
    fn height(&self, table: &Table) -> i32 {
        match self.kind {
            Kind::Bars(column) => bars::height(table, column),
            Kind::Spans(spans) => spans.height(table),
            Kind::Lines => lines::HEIGHT,
        }
    }

    /// Whether there is a line for the range of a figure.
    fn shows_ranges(&self, table: &Table) -> bool {
        let columns = match self.kind {
            Kind::Bars(column) => column..column + 1,
            Kind::Spans(_) => return false,
            Kind::Lines => 0..table.columns.len(),
        };
        let figures = table
            .rows
            .iter()
            .flat_map(|row| columns.clone().filter_map(|column| table.figure(row, column)));
        figures.into_iter().any(|figure| figure.least < figure.most)
    }

    fn draw(&self, area: &Area<'_>, table: &Table) -> Drawn {
        let title = style::text(TITLE, FontStyle::Bold, INK, HPos::Left);
        area.draw(&Text::new(self.title, (0, 8), title))?;
        let unit = style::text(LABEL, FontStyle::Normal, FAINT_INK, HPos::Left);
        area.draw(&Text::new(self.unit, (0, 27), unit))?;
        let (width, height) = area.dim_in_pixel();
        let size = (width, height - u32::try_from(HEAD)?);
        let figures = area.clone().shrink((0, u32::try_from(HEAD)?), size);
        match self.kind {
            Kind::Bars(column) => bars::draw(&figures, table, column),
            Kind::Spans(spans) => spans.draw(&figures, table),
            Kind::Lines => lines::draw(&figures, table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::table::Cell;

    /// The largest report that the lab could make.
    fn full_report() -> Report {
        let mut report = Report::new(&Plan::default());
        for panel in PICTURES.iter().flat_map(|picture| picture.panels) {
            let mut table = Table::new(panel.table, "", "server");
            for size in ["1", "10", "100", "1,000", "10,000", "19,000", "100,000", "1,000,000"] {
                table = table.column(size, "µs", 1);
            }
            for row in 0..12 {
                let cells = (1..=8).map(|n| Cell::of(&[f64::from(n * row), 5.0, 70.0]));
                table.row(&format!("server-{row}"), cells.collect());
            }
            report.tables.push(table);
        }
        report
    }

    #[test]
    fn a_full_report_gives_every_picture_in_less_than_60_kilobytes() {
        let report = full_report();
        for picture in PICTURES {
            let tables = picture.panels.iter().map(|panel| report.table(panel.table).unwrap());
            let svg = svg(&report, picture, &tables.collect::<Vec<_>>()).unwrap();
            assert!(svg.len() < 60_000, "{} has {} bytes", picture.file, svg.len());
            assert!(svg.contains("server-11"), "{}", picture.file);
        }
    }
}
