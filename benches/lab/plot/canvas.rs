//! What a panel is drawn on: an area of pixels, and a chart, which has coordinates.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::element::{EmptyElement, PathElement, Text};
use plotters::prelude::{DrawingArea, SVGBackend, ShapeStyle, TextStyle};

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Coordinates = Cartesian2d<RangedCoordf64, RangedCoordf64>;

/// The part of an area that has coordinates. What is drawn on it may reach beyond it.
pub(super) struct Chart<'a>(DrawingArea<SVGBackend<'a>, Coordinates>);

pub(super) type Drawn = Result<(), Box<dyn Error>>;
pub(super) type Point = (f64, f64);

impl<'a> Chart<'a> {
    /// Gives these pixels of an area these coordinates. Pixels count from the area's top and left.
    pub(super) fn new(
        area: &Area<'a>,
        x: Range<f64>,
        y: Range<f64>,
        pixels: (Range<i32>, Range<i32>),
    ) -> Chart<'a> {
        // Those of a coordinate system count from the picture's.
        let (left, top) = area.get_base_pixel();
        let within = |range: Range<i32>, begin| range.start + begin..range.end + begin;
        let pixels = (within(pixels.0, left), within(pixels.1, top));
        Chart(area.apply_coord_spec(Coordinates::new(x, y, pixels)))
    }

    pub(super) fn path(&self, points: impl Into<Vec<Point>>, style: ShapeStyle) -> Drawn {
        Ok(self.0.draw(&PathElement::new(points, style))?)
    }

    /// Writes text at this many pixels from a point.
    pub(super) fn text(
        &self,
        at: Point,
        offset: (i32, i32),
        text: impl Into<String>,
        style: TextStyle<'static>,
    ) -> Drawn {
        let text: String = text.into();
        Ok(self.0.draw(&(EmptyElement::at(at) + Text::new(text, offset, style)))?)
    }

    /// Draws a path whose points are pixels from a point.
    pub(super) fn stroke(&self, at: Point, offsets: Vec<(i32, i32)>, style: ShapeStyle) -> Drawn {
        Ok(self.0.draw(&(EmptyElement::at(at) + PathElement::new(offsets, style)))?)
    }

    /// The pixel of a point, from the picture's top and left.
    pub(super) fn pixel(&self, at: Point) -> (i32, i32) {
        self.0.map_coordinate(&at)
    }

    /// Draws any element.
    pub(super) fn element<E>(&self, element: &E) -> Drawn
    where
        E: plotters::element::Drawable<SVGBackend<'a>>,
        for<'b> &'b E: plotters::element::PointCollection<'b, Point>,
    {
        Ok(self.0.draw(element)?)
    }
}
