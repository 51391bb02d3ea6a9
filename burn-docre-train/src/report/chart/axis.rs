//! Axes: ranges of values, their ticks, and positions in the drawing.

/// The fraction of a tick distance by which a value may exceed a tick and still belong to it.
const ROUNDING: f64 = 1e-9;
/// The largest value of a tick. Larger values are outside of the drawing.
const LARGEST: f64 = 1e100;
/// The smallest length of an axis whose values differ.
const SMALLEST: f64 = 1e-100;

/// A range of values on a range of positions. The ends are ticks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// The values of the ticks, ascending.
    pub(super) ticks: Vec<f64>,
    /// The number of decimals of the ticks.
    pub(super) decimals: usize,
    /// The positions of the first and the last tick.
    positions: (f64, f64),
}

impl Axis {
    /// An axis whose ticks enclose the values from `low` to `high`. They are multiples of 1, 2 or 5
    /// times a power of ten, with at most `n` intervals, `n` at least 2.
    pub(super) fn around(low: f64, high: f64, n: usize, positions: (f64, f64)) -> Self {
        Self::with_step(0.0, low, high, n, positions)
    }

    /// An axis for epochs or steps, whose ticks are whole numbers.
    pub(super) fn of_counts(low: f64, high: f64, n: usize, positions: (f64, f64)) -> Self {
        Self::with_step(1.0, low, high, n, positions)
    }

    /// An axis whose ticks are at least `smallest` apart.
    fn with_step(smallest: f64, low: f64, high: f64, n: usize, positions: (f64, f64)) -> Self {
        let (low, high) = (low.clamp(-LARGEST, LARGEST), high.clamp(-LARGEST, LARGEST));
        let has_length = high - low > SMALLEST;
        let high = if has_length { high } else { low + low.abs().max(1.0) };
        let ends = |step: f64| {
            ((low / step + ROUNDING).floor() as i64, (high / step - ROUNDING).ceil() as i64)
        };
        let fits = |step: &f64| {
            let (first, last) = ends(*step);
            last - first <= n as i64
        };
        let exponent = ((high - low) / n as f64).log10().floor() as i32;
        let steps = (exponent..=exponent + 2)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10f64.powi(power)));
        let step =
            steps.into_iter().find(|step| *step >= smallest && fits(step)).unwrap_or(high - low);
        let (first, last) = ends(step);
        let decimals = usize::try_from(-(step.log10() + ROUNDING).floor() as i32).unwrap_or(0);
        Self { ticks: (first..=last).map(|i| i as f64 * step).collect(), decimals, positions }
    }

    /// The position of a value.
    pub(super) fn position(&self, value: f64) -> f64 {
        let (first, last) = self.ends();
        let (from, to) = self.positions;
        from + (to - from) * (value - first) / (last - first)
    }

    /// The first and the last tick.
    fn ends(&self) -> (f64, f64) {
        let end = |tick: Option<&f64>| tick.copied().unwrap_or(0.0);
        (end(self.ticks.first()), end(self.ticks.last()))
    }
}

/// Moves positions apart so that neighbours are `gap` apart, each as little as the order allows,
/// within `from..=to`. Returns `None` if there is no room.
pub(super) fn spread(positions: &[f64], gap: f64, from: f64, to: f64) -> Option<Vec<f64>> {
    if (positions.len() as f64 - 1.0) * gap > to - from {
        return None;
    }
    let mut order: Vec<usize> = (0..positions.len()).collect();
    order.sort_by(|&a, &b| positions[a].total_cmp(&positions[b]));
    let mut spread = positions.to_vec();
    let mut free = from;
    for &index in &order {
        spread[index] = spread[index].max(free);
        free = spread[index] + gap;
    }
    let mut free = to;
    for &index in order.iter().rev() {
        spread[index] = spread[index].min(free);
        free = spread[index] - gap;
    }
    Some(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(low: f64, high: f64) -> Vec<f64> {
        Axis::around(low, high, 5, (0.0, 1.0)).ticks
    }

    #[test]
    fn ticks_are_round_numbers_that_enclose_the_values() {
        // 0.76 / 5 = 0.152, so the step is 0.2.
        let axis = Axis::around(0.0, 0.76, 5, (0.0, 1.0));
        assert_eq!(axis.ticks.len(), 5);
        assert!((axis.ticks[4] - 0.8).abs() < 1e-12 && axis.decimals == 1);
        assert_eq!(ticks(0.0, 250.0), [0.0, 50.0, 100.0, 150.0, 200.0, 250.0]);
        // The step 200 has the ticks 0 to 1,200, which are six intervals.
        assert_eq!(ticks(7.0, 1100.0), [0.0, 500.0, 1000.0, 1500.0]);
        assert_eq!(ticks(-3.0, 4.0), [-4.0, -2.0, 0.0, 2.0, 4.0]);
    }

    #[test]
    fn epochs_have_no_ticks_between_them() {
        let ticks = |last| Axis::of_counts(0.0, last, 5, (0.0, 1.0)).ticks;
        assert_eq!(ticks(1.0), [0.0, 1.0]);
        assert_eq!(ticks(2.0), [0.0, 1.0, 2.0]);
        assert_eq!(ticks(44.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
    }

    #[test]
    fn an_axis_of_one_value_has_a_length() {
        for value in [0.0, 3.0, -2.0, 1e9, 1e-300] {
            let ticks = ticks(value, value);
            assert!(ticks.len() >= 2 && ticks[0] <= value && value < ticks[ticks.len() - 1]);
        }
    }

    #[test]
    fn the_largest_numbers_have_an_axis() {
        let ticks = ticks(-f64::MAX, f64::MAX);
        assert!(ticks.len() >= 2 && ticks.iter().all(|tick| tick.is_finite()), "{ticks:?}");
    }

    #[test]
    fn values_are_placed_in_proportion_also_on_an_axis_that_goes_up() {
        let axis = Axis::around(0.0, 10.0, 5, (100.0, 0.0));
        assert_eq!([0.0, 2.5, 10.0].map(|value| axis.position(value)), [100.0, 75.0, 0.0]);
    }

    #[test]
    fn labels_that_would_overlap_are_moved_apart_within_the_limits() {
        assert_eq!(spread(&[5.0, 50.0], 10.0, 0.0, 60.0), Some(vec![5.0, 50.0]));
        assert_eq!(spread(&[52.0, 50.0], 10.0, 0.0, 60.0), Some(vec![60.0, 50.0]));
        assert_eq!(spread(&[58.0, 59.0, 60.0], 10.0, 0.0, 60.0), Some(vec![40.0, 50.0, 60.0]));
        assert_eq!(spread(&[1.0, 2.0, 3.0], 10.0, 0.0, 19.0), None);
    }
}
