//! A line for each server over sizes that grow, on logarithmic scales.

use std::error::Error;

use plotters::element::Circle;
use plotters::prelude::{Color, FontStyle};
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::{Area, Chart, Drawn};
use super::style::{self, FAINT_INK, GRID, LABEL, SMALL};
use crate::figure::Figure;
use crate::table::{Row, Table};

pub(super) const HEIGHT: i32 = 300;
/// Pixels for the ticks on the left and below.
const LEFT: i32 = 48;
const BELOW: i32 = 24;
/// Names stand at least so many pixels below each other.
const NAMES_APART: i32 = 15;

/// The line of a row: sizes and their figures, at least one.
struct Line<'a> {
    name: &'a str,
    points: Vec<(f64, Figure)>,
}

/// The axes of a chart.
#[derive(Clone, Copy)]
struct Axes {
    x: Axis,
    y: Axis,
}

pub(super) fn draw(area: &Area<'_>, table: &Table) -> Drawn {
    let sizes = sizes(table)?;
    let mut lines: Vec<_> =
        table.rows.iter().filter_map(|row| Line::new(table, row, &sizes)).collect();
    let figures = lines.iter().flat_map(|line| &line.points).map(|(_, figure)| figure);
    let y = Axis::log(figures.flat_map(|figure| [figure.least, figure.most]));
    let axes = Axes { x: Axis::log(sizes.iter().copied()), y };
    let (width, height) = area.dim_in_pixel();
    let right = i32::try_from(width)? - style::widest(lines.iter().map(|line| line.name)) - 8;
    let bottom = i32::try_from(height)? - BELOW;
    let chart = Chart::new(area, axes.x.range(), axes.y.range(), (LEFT..right, bottom..0));
    draw_grid(&chart, axes, table, &sizes)?;
    // squall's line is drawn last, above the others.
    lines.sort_by_key(|line| style::is_squall(line.name));
    lines.iter().try_for_each(|line| draw_line(&chart, axes, line))?;
    // From the top to the bottom, so that each name can be moved below the one before.
    lines.sort_by(|a, b| b.end().1.value.total_cmp(&a.end().1.value));
    draw_names(&chart, axes, &lines)
}

/// The titles of the columns as numbers.
fn sizes(table: &Table) -> Result<Vec<f64>, Box<dyn Error>> {
    let parse = |title: &str| title.replace(',', "").parse();
    Ok(table.columns.iter().map(|column| parse(&column.title)).collect::<Result<_, _>>()?)
}

fn draw_grid(chart: &Chart<'_>, Axes { x, y }: Axes, table: &Table, sizes: &[f64]) -> Drawn {
    let faint = |anchor| style::text(SMALL, FontStyle::Normal, FAINT_INK, anchor);
    for (value, text) in y.ticks() {
        let ends = [x.range().start, x.range().end].map(|x| (x, y.at(value)));
        chart.path(ends, style::line(GRID, 1))?;
        chart.text(ends[0], (-6, 0), text, faint(HPos::Right))?;
    }
    let mut free = 0; // no text has reached this pixel
    for (size, column) in sizes.iter().zip(&table.columns) {
        let ends = [y.range().start, y.range().end].map(|y| (x.at(*size), y));
        chart.path(ends, style::line(GRID, 1))?;
        let title = column.title.as_str();
        let half = style::width(title, SMALL) / 2;
        let (middle, _) = chart.pixel(ends[0]);
        let moved = (free - (middle - half)).max(0); // beside the text before
        free = middle + moved + half;
        chart.text(ends[0], (moved, 13), title, faint(HPos::Center))?;
    }
    Ok(())
}

fn draw_line(chart: &Chart<'_>, Axes { x, y }: Axes, Line { name, points }: &Line<'_>) -> Drawn {
    let color = style::color(name);
    let (thick, radius) = if style::is_squall(name) { (4, 5) } else { (2, 3) };
    let at = |size, value| (x.at(size), y.at(value));
    let path: Vec<_> = points.iter().map(|(size, figure)| at(*size, figure.value)).collect();
    chart.path(path, style::line(color, thick))?;
    for (size, Figure { value, least, most }) in points {
        chart.path([at(*size, *least), at(*size, *most)], style::line(color, 1))?;
        chart.element(&Circle::new(at(*size, *value), radius, color.filled()))?;
    }
    Ok(())
}

/// Writes the name of each line at its end. The lines are sorted from the top to the bottom.
fn draw_names(chart: &Chart<'_>, Axes { x, y }: Axes, lines: &[Line<'_>]) -> Drawn {
    let end = |line: &Line<'_>| {
        let (size, figure) = line.end();
        (x.at(size), y.at(figure.value))
    };
    let ends: Vec<_> = lines.iter().map(end).collect();
    let pixels: Vec<_> = ends.iter().map(|end| chart.pixel(*end)).collect();
    let (right, bottom) = chart.pixel((x.range().end, y.range().start));
    let places = apart(&pixels.iter().map(|(_, y)| *y).collect::<Vec<_>>(), bottom);
    for (n, line) in lines.iter().enumerate() {
        let color = style::color(line.name);
        let to = (right - pixels[n].0, places[n] - pixels[n].1);
        chart.stroke(ends[n], vec![(6, 0), to], style::line(color, 1))?;
        let name = style::text(LABEL, style::weight(line.name), color, HPos::Left);
        chart.text(ends[n], (to.0 + 4, to.1), line.name, name)?;
    }
    Ok(())
}

impl<'a> Line<'a> {
    /// `None` if nothing was measured of the row.
    fn new(table: &Table, row: &'a Row, sizes: &[f64]) -> Option<Line<'a>> {
        let points = sizes.iter().enumerate();
        let points = points.filter_map(|(n, size)| Some((*size, table.figure(row, n)?)));
        let line = Line { name: &row.name, points: points.collect() };
        (!line.points.is_empty()).then_some(line)
    }

    /// The right end.
    fn end(&self) -> (f64, Figure) {
        *self.points.last().expect("at least one point")
    }
}

/// Moves places, which are in ascending order, so that they are apart and not below `bottom`.
fn apart(wanted: &[i32], bottom: i32) -> Vec<i32> {
    let mut places = wanted.to_vec();
    for n in 1..places.len() {
        places[n] = places[n].max(places[n - 1] + NAMES_APART);
    }
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = (*place).min(limit);
        limit = *place - NAMES_APART;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_never_overlap() {
        assert_eq!(apart(&[10, 12, 100], 200), [10, 25, 100]);
        assert_eq!(apart(&[190, 195, 199], 200), [170, 185, 200]);
    }
}
