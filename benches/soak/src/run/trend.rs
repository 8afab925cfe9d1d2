//! The trend of a series: does it grow?

/// Fits a line by least squares and returns its slope: units of `y` for each unit of `x`. `None` for
/// fewer than three points, or if all have the same `x`.
pub(crate) fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 3 {
        return None;
    }
    let count = points.len() as f64;
    let mean_x = points.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = points.iter().map(|(_, y)| y).sum::<f64>() / count;
    let (mut products, mut squares) = (0.0, 0.0);
    for (x, y) in points {
        products += (x - mean_x) * (y - mean_y);
        squares += (x - mean_x) * (x - mean_x);
    }
    (squares > 0.0).then(|| products / squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_noise_around_a_level_has_hardly_any() {
        let line: Vec<_> = (0..10).map(|n| (f64::from(n), 7.0 + 2.5 * f64::from(n))).collect();
        assert!((slope(&line).unwrap() - 2.5).abs() < 1e-9);
        let level: Vec<_> = (0..100).map(|n| (f64::from(n), f64::from(n % 2))).collect();
        assert!(slope(&level).unwrap().abs() < 0.001);
        assert_eq!(slope(&line[..2]), None);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
