//! Chance from a seed: SplitMix64 (Steele, Lea and Flood 2014).

/// A stream of numbers that its seed fixes.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of a seed. Seeds that lie close together have streams that do not.
    pub fn new(seed: u64) -> Self {
        let mut random = Self(seed ^ 0x5eed_0f5b_ace7_1e00);
        random.0 = random.number();
        random
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }

    /// Above 0 and below 1.
    pub fn share(&mut self) -> f64 {
        ((self.number() >> 11) as f64 + 0.5) / 2_f64.powi(53)
    }

    /// The time until something happens that happens once in a unit of time.
    pub fn waiting(&mut self) -> f64 {
        -self.share().ln()
    }
}
