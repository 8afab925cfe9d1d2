//! Percentiles of each server on a logarithmic scale: a line from the first to the last, with a
//! mark for each, and their values beside it.

use plotters::element::{Circle, TriangleMarker};
use plotters::prelude::{Color, FontStyle, WHITE};
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::{Area, Chart, Drawn, Point};
use super::style::{self, FAINT_INK, GRID, INK, SMALL};
use crate::figure::Figure;
use crate::table::Table;

/// The height of a row in pixels.
const ROW: i32 = 24;
/// The height of the ticks below the rows, and of the heads above the values.
const TICKS: i32 = 22;
const HEADS: i32 = 18;
/// The width of a value.
const VALUE: i32 = 50;

/// What a panel shows of a table.
#[derive(Clone, Copy)]
pub(super) struct Spans {
    pub(super) columns: &'static [usize],
    /// The names of the columns.
    pub(super) marks: &'static [&'static str],
    /// The columns whose values determine the scale.
    pub(super) scale: &'static [usize],
}

type Row<'a> = (&'a str, Vec<Figure>);

impl Spans {
    pub(super) fn height(self, table: &Table) -> i32 {
        i32::try_from(self.rows(table).len()).unwrap_or(0) * ROW + TICKS + HEADS
    }

    pub(super) fn draw(self, area: &Area<'_>, table: &Table) -> Drawn {
        let rows = self.rows(table);
        let names = style::widest(rows.iter().map(|(name, _)| *name));
        let (width, height) = area.dim_in_pixel();
        let right = i32::try_from(width)? - VALUE * i32::try_from(self.columns.len())?;
        let pixels = (names + 8..right, HEADS..i32::try_from(height)? - TICKS);
        let axis = self.axis(table);
        let chart = Chart::new(area, axis.range(), 0.0..rows.len() as f64, pixels);
        self.draw_scale(&chart, axis, rows.len() as f64)?;
        for (n, (name, figures)) in rows.iter().enumerate() {
            let y = n as f64 + 0.5;
            let label = style::name(name, HPos::Right);
            chart.text((axis.range().start, y), (-8, 0), *name, label)?;
            let points: Vec<_> = figures.iter().map(|figure| (axis.at(figure.value), y)).collect();
            draw_marks(&chart, name, &points)?;
            for (figure, x) in figures.iter().zip(values_at()) {
                let value = style::text(SMALL, FontStyle::Normal, INK, HPos::Right);
                let text = style::number(figure.value, 0);
                chart.text((axis.range().end, y), (x, 0), text, value)?;
            }
        }
        Ok(())
    }

    /// The rows of the table that have all of the columns.
    fn rows(self, table: &Table) -> Vec<Row<'_>> {
        let rows = table.rows.iter().filter_map(|row| {
            let figures = self.columns.iter().map(|column| table.figure(row, *column));
            Some((row.name.as_str(), figures.collect::<Option<_>>()?))
        });
        rows.collect()
    }

    fn axis(self, table: &Table) -> Axis {
        let figures = table
            .rows
            .iter()
            .flat_map(|row| self.scale.iter().filter_map(move |column| table.figure(row, *column)));
        Axis::log(figures.map(|figure| figure.value))
    }

    /// Draws the ticks below the rows, and the names of the columns above their values.
    fn draw_scale(self, chart: &Chart<'_>, axis: Axis, bottom: f64) -> Drawn {
        let faint = |anchor| style::text(SMALL, FontStyle::Normal, FAINT_INK, anchor);
        let mut free = 0; // no text has reached this pixel
        for (value, text) in axis.ticks() {
            let x = axis.at(value);
            chart.path([(x, 0.0), (x, bottom)], style::line(GRID, 1))?;
            let half = style::width(&text, SMALL) / 2;
            let (middle, _) = chart.pixel((x, bottom));
            if middle - half > free {
                free = middle + half;
                chart.text((x, bottom), (0, 12), text, faint(HPos::Center))?;
            }
        }
        for (mark, x) in self.marks.iter().zip(values_at()) {
            chart.text((axis.range().end, 0.0), (x, -9), *mark, faint(HPos::Right))?;
        }
        Ok(())
    }
}

/// The places of the values, in pixels from the end of the axis.
fn values_at() -> impl Iterator<Item = i32> {
    (1..).map(|n| n * VALUE)
}

/// Draws a disk, a ring and triangles, joined by a line. The first marks cover the others.
fn draw_marks(chart: &Chart<'_>, name: &str, points: &[Point]) -> Drawn {
    let color = style::color(name);
    chart.path(points, style::line(color, 2))?;
    for (n, point) in points.iter().enumerate().rev() {
        match n {
            0 => chart.element(&Circle::new(*point, 5, color.filled()))?,
            1 => {
                chart.element(&Circle::new(*point, 5, WHITE.filled()))?;
                chart.element(&Circle::new(*point, 5, style::line(color, 2)))?;
            }
            _ => chart.element(&TriangleMarker::new(*point, 6, color.filled()))?,
        }
    }
    Ok(())
}
