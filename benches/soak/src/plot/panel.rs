//! One picture: curves over time, and the acts below them.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::plot::act_strip;
use crate::plot::curve::Curve;
use crate::records::act::Act;
use crate::records::act_record::ActRecord;

pub(crate) const INK: RGBColor = RGBColor(55, 65, 81);
pub(crate) const PALE_INK: RGBColor = RGBColor(107, 114, 128);
pub(crate) const GRID: RGBColor = RGBColor(229, 231, 235);
/// The space to the left of the axis of time, in pixels.
pub(crate) const NAMES_WIDTH: u32 = 104;
/// The space at the other sides.
pub(crate) const MARGIN: u32 = 16;
const WIDTH: u32 = 1100;
const CURVES_HEIGHT: u32 = 340;
const TITLE_SIZE: u32 = 16;
const TEXT_SIZE: u32 = 12;
const TITLE_HEIGHT: u32 = 36;
/// About the width of a letter of a name.
const NAME_ADVANCE: i32 = 7;

/// What a picture shows.
pub(crate) struct Panel<'a> {
    pub(crate) title: String,
    pub(crate) minutes: Range<f64>,
    pub(crate) curves: Vec<Curve>,
    /// Series of single points. Those without a name have the color of a curve.
    pub(crate) dots: Vec<Curve>,
    pub(crate) acts: &'a [ActRecord],
    /// Writes a value of the vertical axis.
    pub(crate) label: fn(f64) -> String,
}

impl Panel<'_> {
    /// Draws the picture with a vertical axis of this range, which may be logarithmic.
    pub(crate) fn draw<Y>(&self, path: &Path, values: Y) -> Result<(), Box<dyn Error>>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: ValueFormatter<f64>,
    {
        let rows = u32::try_from(Act::ALL.len())?;
        let height = CURVES_HEIGHT + rows * act_strip::ROW + MARGIN;
        let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
        root.fill(&WHITE)?;
        self.draw_title(&root)?;
        let (upper, lower) = root.split_vertically(CURVES_HEIGHT);
        let text = ("sans-serif", TEXT_SIZE).into_font().color(&PALE_INK);
        let mut chart = ChartBuilder::on(&upper)
            .margin_top(TITLE_HEIGHT)
            .margin_right(MARGIN)
            .set_label_area_size(LabelAreaPosition::Left, NAMES_WIDTH)
            .set_label_area_size(LabelAreaPosition::Bottom, 36)
            .build_cartesian_2d(self.minutes.clone(), values)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(text)
            .x_desc("minutes")
            .y_label_formatter(&|value| (self.label)(*value))
            .draw()?;
        for curve in &self.curves {
            let points = curve.points.iter().map(|(seconds, value)| (seconds / 60.0, *value));
            chart.draw_series(LineSeries::new(points, curve.color.stroke_width(1)))?;
        }
        for series in &self.dots {
            let points = series.points.iter().map(|(seconds, value)| (seconds / 60.0, *value));
            chart.draw_series(points.map(|at| Circle::new(at, 2, series.color.filled())))?;
        }
        act_strip::draw(&lower, self.acts, self.minutes.clone())?;
        Ok(root.present()?)
    }

    /// Writes the title and the names of the curves in one line, above all curves.
    fn draw_title(&self, root: &DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn Error>> {
        let left = i32::try_from(NAMES_WIDTH)?;
        let title = ("sans-serif", TITLE_SIZE).into_font().color(&INK);
        root.draw(&Text::new(self.title.as_str(), (left, 9), title))?;
        let text = ("sans-serif", TEXT_SIZE).into_font().color(&PALE_INK);
        let names = self.curves.iter().chain(&self.dots).map(|curve| (curve.name, curve.color));
        let mut right = i32::try_from(WIDTH - MARGIN)?;
        for (name, color) in names.filter(|(name, _)| !name.is_empty()) {
            right -= i32::try_from(name.len())? * NAME_ADVANCE;
            root.draw(&Text::new(name, (right, 12), text.clone()))?;
            right -= 20;
            root.draw(&Rectangle::new([(right, 17), (right + 14, 20)], color.filled()))?;
            right -= 16;
        }
        Ok(())
    }
}
