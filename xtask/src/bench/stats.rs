//! Medians, and how sure a mean is.

/// The middle value; of an even number the upper one.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The middle value, and between which two it is with 95 % confidence: by rank, whatever
/// they are distributed like. Of six or more.
pub(super) fn median_with_confidence(values: &[f64]) -> (f64, [f64; 2]) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few dozen values, of which fewer than half are below the interval"
    )]
    let below = {
        let count = sorted.len() as f64;
        // Of the binomial distribution, by the normal one.
        ((count - 1.96 * count.sqrt()) / 2.0).floor().max(0.0) as usize
    };
    let at = |rank: usize| sorted.get(rank).copied().unwrap_or(f64::NAN);
    (median(values), [at(below), at(sorted.len().saturating_sub(below + 1))])
}

/// Mean and the half width of its 95 % confidence interval.
pub(super) fn mean_with_confidence(values: &[f64]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen values")]
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    (mean, student(values.len() - 1) * deviation / count.sqrt())
}

/// The 97.5 % quantile of Student's t distribution, by Hill's expansion around the
/// normal one (good to 0.1 % from 5 degrees of freedom on).
fn student(freedom: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let v = freedom as f64;
    let z: f64 = 1.959_964;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / v + second / v.powi(2) + third / v.powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_between_values_by_rank() {
        // 30 values: the 10th and the 21st, by tables of the sign test.
        let values: Vec<f64> = (1..=30).rev().map(f64::from).collect();
        assert_eq!(median_with_confidence(&values), (16.0, [10.0, 21.0]));
    }

    #[test]
    fn the_interval_is_the_textbooks() {
        // Ten values with mean 5.5 and deviation 3.02765; t(9) = 2.26216.
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        let (mean, half) = mean_with_confidence(&values);
        assert!((mean - 5.5).abs() < 1e-9);
        assert!((half - 2.26216 * 3.02765 / 10_f64.sqrt()).abs() < 0.005, "{half}");
    }
}
