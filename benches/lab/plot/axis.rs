//! The scale of a picture, linear or logarithmic, and its ticks.

use std::ops::Range;

use super::style::number;

/// Maps values to coordinates, which are even on the picture.
#[derive(Clone, Copy, Debug)]
pub(super) enum Axis {
    /// From zero.
    Linear { most: f64 },
    /// Coordinates are logarithms to the base of ten. Always `0 < least < most`.
    Log { least: f64, most: f64 },
}

/// The ticks of a logarithmic axis of up to so many decades, as parts of a decade.
const TICKS: [(f64, &[f64]); 3] =
    [(0.9, &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0]), (1.7, &[1.0, 2.0, 5.0]), (f64::MAX, &[1.0])];
/// The least value of a logarithmic axis, for values that are zero. The ticks begin here.
const LOG_FLOOR: f64 = 0.1;

impl Axis {
    /// A linear axis that contains zero and these values.
    pub(super) fn linear(values: impl Iterator<Item = f64>) -> Axis {
        Axis::Linear { most: values.fold(f64::MIN_POSITIVE, f64::max) }
    }

    /// A logarithmic axis that contains these values with some space around.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Axis {
        let (least, most) = values
            .map(|value| value.max(LOG_FLOOR))
            .fold((f64::MAX, LOG_FLOOR), |(least, most), value| {
                (least.min(value), most.max(value))
            });
        Axis::Log { least: least.min(most) / 1.25, most: most * 1.25 }
    }

    pub(super) fn at(self, value: f64) -> f64 {
        match self {
            Axis::Linear { .. } => value,
            Axis::Log { least, .. } => value.max(least).log10(),
        }
    }

    /// The coordinates of the axis.
    pub(super) fn range(self) -> Range<f64> {
        match self {
            Axis::Linear { most } => 0.0..most,
            Axis::Log { least, most } => least.log10()..most.log10(),
        }
    }

    /// The values that get a tick, with their texts.
    pub(super) fn ticks(self) -> Vec<(f64, String)> {
        let Axis::Log { least, most } = self else { return Vec::new() };
        let decades = (most / least).log10();
        let factors = TICKS
            .iter()
            .find(|(limit, _)| decades <= *limit)
            .map_or(&[][..], |(_, factors)| factors);
        let values =
            (-1..=9).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)));
        let within = values.filter(|value| (least..=most).contains(value));
        within.map(|value| (value, number(value, usize::from(value.fract() > 0.0)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn a_wide_logarithmic_axis_has_a_tick_for_each_decade() {
        assert_eq!(texts(Axis::log([8.0, 12_000.0].into_iter())), ["10", "100", "1,000", "10,000"]);
    }

    #[test]
    fn a_narrow_logarithmic_axis_has_ticks_between_the_decades() {
        assert_eq!(texts(Axis::log([1.2, 2.4].into_iter())), ["1", "1.5", "2", "3"]);
        assert_eq!(texts(Axis::log([3.0, 21.0].into_iter())), ["5", "10", "20"]);
    }

    #[test]
    fn zero_is_at_the_begin_of_a_logarithmic_axis() {
        let axis = Axis::log([0.0, 5.0].into_iter());
        assert!(axis.range().contains(&axis.at(0.0)));
        assert!(axis.at(0.0) < axis.at(5.0));
    }
}
