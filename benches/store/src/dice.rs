//! Random numbers that are the same in every run, and the shapes that traffic has.

/// splitmix64.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// From 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// So many of a hundred.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// A log-normal number around `median`; `spread` is the deviation of its logarithm.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
    pub(crate) fn around(&mut self, median: f64, spread: f64) -> u64 {
        // The sum of twelve is as good as normal here.
        let normal = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        (median * (normal * spread).exp()).clamp(0.0, 1e12) as u64
    }
}

/// Ranks by Zipf's law.
pub(crate) struct Zipf {
    /// How much of all the ranks up to each are.
    up_to: Vec<f64>,
}

impl Zipf {
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 ranks")]
    pub(crate) fn new(ranks: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weigh = |rank: usize| {
            sum += (rank as f64).powf(-exponent);
            sum
        };
        let mut up_to: Vec<f64> = (1..=ranks).map(weigh).collect();
        for weight in &mut up_to {
            *weight /= sum;
        }
        Self { up_to }
    }

    pub(crate) fn rank(&self, dice: &mut Dice) -> usize {
        let at = dice.unit();
        self.up_to.partition_point(|weight| *weight < at).min(self.up_to.len() - 1)
    }
}
