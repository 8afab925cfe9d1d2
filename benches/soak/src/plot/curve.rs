//! A curve with no more points than can be seen.

use plotters::style::RGBColor;

/// The parts of the axis of time. Each shows its least and its greatest value.
const PARTS: usize = 600;

/// A named series.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) color: RGBColor,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Curve {
    /// Makes a curve of points in the order of their times, and thins it out.
    pub(crate) fn new(
        name: &'static str,
        color: RGBColor,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> Curve {
        Curve { name, color, points: thin_out(&points.collect::<Vec<_>>(), PARTS) }
    }

    pub(crate) fn max(&self) -> f64 {
        self.points.iter().map(|(_, y)| *y).fold(0.0, f64::max)
    }
}

/// Keeps the least and the greatest value of each part, in the order in which they came.
fn thin_out(points: &[(f64, f64)], parts: usize) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(parts);
    if size <= 2 {
        return points.to_vec();
    }
    let extremes = points.chunks(size).flat_map(|part| {
        let by_value = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let least = *part.iter().min_by(by_value).expect("a part is not empty");
        let greatest = *part.iter().max_by(by_value).expect("a part is not empty");
        if least.0 <= greatest.0 { [least, greatest] } else { [greatest, least] }
    });
    extremes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thinned_curve_keeps_its_peaks_and_its_order() {
        let mut points: Vec<_> = (0..5000).map(|n| (f64::from(n), f64::from(n % 7))).collect();
        (points[1234].1, points[4321].1) = (100.0, -100.0);
        let thin = thin_out(&points, 100);
        assert_eq!(thin.len(), 200);
        assert!(thin.contains(&(1234.0, 100.0)) && thin.contains(&(4321.0, -100.0)));
        assert!(thin.is_sorted_by_key(|(x, _)| *x));
        assert_eq!(thin_out(&points[..150], 100), points[..150]);
    }
}
