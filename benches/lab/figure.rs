//! A measured figure, and percentiles.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The median of several rounds, with the least and the most of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Figure {
    /// A figure that was measured once.
    pub(crate) fn once(value: f64) -> Figure {
        Figure { value, least: value, most: value }
    }

    /// The figure of several rounds. `None` without a round.
    pub(crate) fn of(rounds: &[f64]) -> Option<Figure> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        Some(Figure { value: sorted[sorted.len() / 2], least, most })
    }

    /// Formats the median with this number of digits behind the point, and the range in brackets if
    /// there is one.
    pub(crate) fn with_digits(self, digits: usize) -> impl fmt::Display {
        let Figure { value, least, most } = self;
        if least == most {
            format!("{value:.digits$}")
        } else {
            format!("{value:.digits$} ({least:.digits$}–{most:.digits$})")
        }
    }
}

/// The time within which this part of the durations ends, which are in order of size. `tenths` are
/// tenths of a percent. Zero without durations.
pub(crate) fn percentile(sorted: &[Duration], tenths: usize) -> Duration {
    let rank = (sorted.len() * tenths).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_and_the_range_of_its_rounds() {
        let figure = Figure::of(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(figure, Figure { value: 2.0, least: 1.0, most: 3.0 });
        assert_eq!(figure.with_digits(1).to_string(), "2.0 (1.0–3.0)");
        assert_eq!(Figure::once(4.25).with_digits(0).to_string(), "4");
        assert_eq!(Figure::of(&[]), None);
    }

    #[test]
    fn a_percentile_is_the_latency_of_the_last_request_within_it() {
        let latencies: Vec<_> = (1..=1000).map(Duration::from_micros).collect();
        let at = |tenths| percentile(&latencies, tenths).as_micros();
        assert_eq!((at(500), at(990), at(999), at(1000)), (500, 990, 999, 1000));
        assert_eq!(percentile(&latencies[..3], 500), latencies[1]);
        assert_eq!(percentile(&latencies[..1], 999), latencies[0]);
        assert_eq!(percentile(&[], 500), Duration::ZERO);
    }
}
