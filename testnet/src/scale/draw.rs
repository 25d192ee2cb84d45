//! Draws with decimals, on top of the simulator's streams: for models of banks, never for the
//! protocol.
//!
//! Invariant: the same seed and concern give the same draws on one machine; `ln`, `exp` and `cos`
//! may differ in the last digit between platforms.

use crate::sim::rng::Stream;

/// A number from 0 (included) to 1.
pub fn unit(stream: &mut Stream) -> f64 {
    const STEPS: u32 = 1 << 30;
    let step = u32::try_from(stream.below(u64::from(STEPS))).unwrap_or(0);
    f64::from(step) / f64::from(STEPS)
}

/// A draw of the normal distribution (Box and Muller's way).
pub fn normal(stream: &mut Stream) -> f64 {
    let radius = (-2.0 * (1.0 - unit(stream)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(stream)).cos()
}

/// A draw of the lognormal distribution of this mean; `sigma` is that of the logarithm.
pub fn lognormal(stream: &mut Stream, mean: f64, sigma: f64) -> f64 {
    mean * (sigma * normal(stream) - sigma * sigma / 2.0).exp()
}

/// Places drawn in proportion to their weights.
#[derive(Debug, Clone)]
pub struct Wheel {
    sums: Vec<f64>,
}

impl Wheel {
    /// A wheel of these weights.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let sums = weights.into_iter().map(|weight| {
            sum += weight.max(0.0);
            sum
        });
        Self { sums: sums.collect() }
    }

    /// A place; none on an empty wheel.
    pub fn draw(&self, stream: &mut Stream) -> Option<usize> {
        let all = *self.sums.last()?;
        let at = unit(stream) * all;
        let place = self.sums.partition_point(|sum| *sum <= at);
        Some(place.min(self.sums.len().saturating_sub(1)))
    }
}

/// A count as a number with decimals.
#[must_use]
pub fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

/// The whole number nearest to `value`, at least 0.
#[must_use]
pub fn whole(value: f64) -> usize {
    // Saturates, and makes nothing of what is no number.
    value.round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_draws_by_weight() {
        let mut stream = Stream::new(1, "wheel");
        let wheel = Wheel::new([1.0, 0.0, 3.0]);
        let mut counts = [0_u32; 3];
        for _ in 0..4_000 {
            counts[wheel.draw(&mut stream).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((900..1_100).contains(&counts[0]), "{counts:?}");
        assert_eq!(Wheel::new([]).draw(&mut stream), None);
    }

    #[test]
    fn lognormal_draws_have_the_mean_asked_for() {
        let mut stream = Stream::new(1, "amounts");
        let sum: f64 = (0..20_000).map(|_| lognormal(&mut stream, 100.0, 1.0)).sum();
        assert!((95.0..105.0).contains(&(sum / 20_000.0)), "{sum}");
    }
}
