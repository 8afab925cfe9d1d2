//! The acts of a run: a row for each kind, with blocks where it was carried out.

use std::error::Error;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::plot::panel::{GRID, INK, MARGIN, NAMES_WIDTH, PALE_INK};
use crate::records::act::Act;
use crate::records::act_record::ActRecord;

/// The height of a row, in pixels.
pub(crate) const ROW: u32 = 14;
const TEXT_SIZE: u32 = 11;

/// Draws the strip. Its axis of time is that of the panel above.
pub(crate) fn draw(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    acts: &[ActRecord],
    minutes: Range<f64>,
) -> Result<(), Box<dyn Error>> {
    let (width, _) = area.dim_in_pixel();
    let span = i32::try_from(width - NAMES_WIDTH - MARGIN)?;
    let left = i32::try_from(NAMES_WIDTH)?;
    let place = |seconds: f64| {
        let part = (seconds / 60.0 - minutes.start) / (minutes.end - minutes.start);
        #[allow(clippy::cast_possible_truncation, reason = "a place on the picture")]
        let pixels = (part.clamp(0.0, 1.0) * f64::from(span)).round() as i32;
        left + pixels
    };
    for (row, act) in Act::ALL.into_iter().enumerate() {
        let top = i32::try_from(row)? * i32::try_from(ROW)?;
        let (base, peak) = (top + 11, top + 3);
        let name = Text::new(
            act.name(),
            (left - 96, top + 1),
            ("sans-serif", TEXT_SIZE).into_font().color(&PALE_INK),
        );
        area.draw(&name)?;
        area.draw(&PathElement::new(vec![(left, base), (left + span, base)], GRID))?;
        let mut outline = vec![(left, base)];
        for record in acts.iter().filter(|record| record.act == act) {
            let (begin, end) = (place(record.begin), place(record.end));
            // Blocks that touch become one; the shortest is a pixel wide.
            if outline.last().is_some_and(|last| last.0 >= begin && outline.len() > 1) {
                outline.pop();
                outline.pop();
                outline.push((end.max(begin + 1), peak));
            } else {
                outline.extend([(begin, base), (begin, peak), (end.max(begin + 1), peak)]);
            }
            outline.push((end.max(begin + 1), base));
        }
        if outline.len() > 1 {
            area.draw(&Polygon::new(outline, INK.filled()))?;
        }
    }
    Ok(())
}
