//! A bar for each server, with its range.

use plotters::element::Rectangle;
use plotters::prelude::{Color, WHITE};
use plotters::style::text_anchor::HPos;

use super::axis::Axis;
use super::canvas::{Area, Chart, Drawn};
use super::style::{self, INK, LABEL};
use crate::figure::Figure;
use crate::table::Table;

/// The height of a row in pixels.
const ROW: i32 = 24;
/// A bar that is longer than the next by this factor is cut.
const CUT: f64 = 3.0;
/// Half of a bar's height, as a part of the row.
const HALF: f64 = 0.32;

type Row<'a> = (&'a str, Figure);

/// The rows of the table that have a figure in this column, from the least to the most.
fn rows(table: &Table, column: usize) -> Vec<Row<'_>> {
    let figure = |row| Some((table.figure(row, column)?, row));
    let mut rows: Vec<_> = table.rows.iter().filter_map(figure).collect();
    rows.sort_by(|(a, _), (b, _)| a.value.total_cmp(&b.value));
    rows.into_iter().map(|(figure, row)| (row.name.as_str(), figure)).collect()
}

pub(super) fn height(table: &Table, column: usize) -> i32 {
    i32::try_from(rows(table, column).len()).unwrap_or(0) * ROW
}

pub(super) fn draw(area: &Area<'_>, table: &Table, column: usize) -> Drawn {
    let rows = rows(table, column);
    let digits = table.columns[column].digits;
    let whole = rows.len() - usize::from(is_last_cut(&rows));
    let axis = Axis::linear(rows[..whole].iter().map(|(_, figure)| figure.most));
    let names = style::widest(rows.iter().map(|(name, _)| *name));
    let (width, height) = area.dim_in_pixel();
    let right = i32::try_from(width)? - style::width("00,000", LABEL);
    let pixels = (names + 8..right, 0..i32::try_from(height)?);
    let chart = Chart::new(area, axis.range(), 0.0..rows.len() as f64, pixels);
    for (n, (name, figure)) in rows.iter().enumerate() {
        let y = n as f64 + 0.5;
        chart.text((0.0, y), (-8, 0), *name, style::name(name, HPos::Right))?;
        let end = if n < whole {
            bar(&chart, y, name, *figure)?;
            figure.most
        } else {
            cut_bar(&chart, y, name, axis.range().end)?;
            axis.range().end
        };
        let value = style::number(figure.value, digits);
        let label = style::text(LABEL, style::weight(name), INK, HPos::Left);
        chart.text((end, y), (6, 0), value, label)?;
    }
    Ok(())
}

/// Draws a bar from zero to the value, and the range as a whisker.
fn bar(chart: &Chart<'_>, y: f64, name: &str, figure: Figure) -> Drawn {
    let Figure { value, least, most } = figure;
    let fill = style::color(name).filled();
    chart.element(&Rectangle::new([(0.0, y - HALF), (value, y + HALF)], fill))?;
    if least < most {
        let whisker = |from, to| chart.path([from, to], style::line(INK, 1));
        whisker((least, y), (most, y))?;
        whisker((least, y - 0.12), (least, y + 0.12))?;
        whisker((most, y - 0.12), (most, y + 0.12))?;
    }
    Ok(())
}

/// Draws a bar with two white strokes across: it is longer than it is drawn.
fn cut_bar(chart: &Chart<'_>, y: f64, name: &str, end: f64) -> Drawn {
    let fill = style::color(name).filled();
    chart.element(&Rectangle::new([(0.0, y - HALF), (end, y + HALF)], fill))?;
    for x in [-22, -15] {
        chart.stroke((end, y), vec![(x, 10), (x + 6, -10)], style::line(WHITE, 3))?;
    }
    Ok(())
}

/// Whether the last bar would make all others short.
fn is_last_cut(rows: &[Row<'_>]) -> bool {
    matches!(rows, [.., (_, next), (_, last)] if last.value > CUT * next.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Cell;

    #[test]
    fn rows_are_sorted_and_only_an_outlier_is_cut() {
        let mut table = Table::new("echo", "", "server").column("CPU", "µs", 1);
        table.row("b", vec![Cell::once(2.0)]);
        table.row("none", vec![Cell::Empty]);
        table.row("a", vec![Cell::once(1.0)]);
        let names = |table| rows(table, 0).iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(&table), ["a", "b"]);
        assert!(!is_last_cut(&rows(&table, 0)));
        table.row("slow", vec![Cell::once(7.0)]);
        assert!(is_last_cut(&rows(&table, 0)));
    }
}
