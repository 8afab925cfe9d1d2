//! Colours and text. A server has the same colour in every picture, and its name stands beside it,
//! so that no picture depends on colours alone.

use plotters::prelude::{Color, FontStyle, IntoFont, RGBColor, ShapeStyle, TextStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Also on a dark page, a picture is a white card with this rim.
pub(super) const RIM: RGBColor = RGBColor(0xd0, 0xd7, 0xde);
pub(super) const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
pub(super) const FAINT_INK: RGBColor = RGBColor(0x59, 0x63, 0x6e);
pub(super) const GRID: RGBColor = RGBColor(0xe4, 0xe8, 0xec);
pub(super) const SQUALL: RGBColor = RGBColor(0xd5, 0x5e, 0x00);

/// The sizes of text in pixels.
pub(super) const TITLE: i32 = 15;
pub(super) const LABEL: i32 = 13;
pub(super) const SMALL: i32 = 12;

/// The colour of a server, a client or a runtime. They differ in brightness too, and squall has the
/// only warm one that is bright.
pub(super) fn color(name: &str) -> RGBColor {
    match name {
        _ if is_squall(name) => SQUALL,
        "raw" => RGBColor(0x8c, 0x8c, 0x8c),
        "tokio" | "hyper" | "hyper-util" => RGBColor(0x00, 0x5a, 0x9c),
        "smol" | "may_minihttp" => RGBColor(0x00, 0x8f, 0x6b),
        "monoio-epoll" | "actix-web" => RGBColor(0xa8, 0x4f, 0x8f),
        "monoio-uring" | "ntex" => RGBColor(0x5b, 0x2a, 0x6e),
        "compio" | "reqwest" => RGBColor(0x3d, 0xa5, 0xd9),
        "nginx" | "nginx-no-sendfile" => RGBColor(0x2f, 0x5d, 0x50),
        _ => RGBColor(0x5f, 0x6b, 0x7a),
    }
}

/// Whether a row is squall's, perhaps with a condition after its name.
pub(super) fn is_squall(name: &str) -> bool {
    name.split([',', ' ']).next() == Some("squall")
}

/// The text style of a row's name.
pub(super) fn name(row: &str, anchor: HPos) -> TextStyle<'static> {
    text(LABEL, weight(row), if is_squall(row) { SQUALL } else { INK }, anchor)
}

pub(super) fn weight(row: &str) -> FontStyle {
    if is_squall(row) { FontStyle::Bold } else { FontStyle::Normal }
}

/// Text that is centred vertically. The SVG backend divides its size by 1.24.
pub(super) fn text(
    pixels: i32,
    style: FontStyle,
    color: RGBColor,
    anchor: HPos,
) -> TextStyle<'static> {
    let font = ("Helvetica, Arial, sans-serif", f64::from(pixels) * 1.24, style).into_font();
    font.color(&color).pos(Pos::new(anchor, VPos::Center))
}

pub(super) fn line(color: RGBColor, width: u32) -> ShapeStyle {
    color.stroke_width(width)
}

/// The pixels that a text of this size takes, with some to spare.
pub(super) fn width(text: &str, pixels: i32) -> i32 {
    let characters = i32::try_from(text.chars().count()).unwrap_or(i32::MAX);
    // The widest of the usual fonts has letters of 0.62 of their height.
    characters.saturating_mul(pixels * 62) / 100
}

/// The pixels that the widest of these names takes.
pub(super) fn widest<'a>(names: impl Iterator<Item = &'a str>) -> i32 {
    names.map(|name| width(name, LABEL)).max().unwrap_or(0)
}

/// Formats a number with at most this many digits behind the point, and commas between thousands.
pub(super) fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        assert_eq!(number(1_234_567.0, 0), "1,234,567");
        assert_eq!(number(999.96, 1), "1,000.0");
        assert_eq!(number(0.25, 2), "0.25");
    }

    #[test]
    fn only_squall_is_squall() {
        assert!(is_squall("squall") && is_squall("squall, 1 ns slack"));
        assert!(!is_squall("squallish") && !is_squall("raw"));
    }
}
