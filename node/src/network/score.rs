//! Points that fade.

/// Points that halve in a time, and what is added to them. In whole numbers, so that it comes out the same everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fading {
    /// Thousandths of points at `at_ms`.
    milli: u64,
    at_ms: u64,
}

/// Most points there can be: sums stay far below 2^64.
const MAX_POINTS: u64 = 1 << 32;

impl Fading {
    /// So many thousandths of points at a time, as [`Fading::saved`] gave them.
    #[must_use]
    pub fn restored(milli: u64, at_ms: u64) -> Self {
        Self { milli: milli.min(MAX_POINTS * 1000), at_ms }
    }

    /// Thousandths of points, and of when that is, Unix milliseconds.
    #[must_use]
    pub fn saved(&self) -> (u64, u64) {
        (self.milli, self.at_ms)
    }

    /// Thousandths of points that are left, of which half fades in `half_life_ms`: halves exactly, and a straight line
    /// between two of them. A clock that was turned back fades nothing.
    fn left(&self, half_life_ms: u64, now_ms: u64) -> u64 {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        let (halves, rest_ms) = (passed_ms / half_life_ms, passed_ms % half_life_ms);
        let whole = if halves < 64 { self.milli >> halves } else { 0 };
        let fades = u128::from(whole) * u128::from(rest_ms) / (2 * u128::from(half_life_ms));
        whole - u64::try_from(fades).unwrap_or(whole)
    }

    /// Whole points that are left.
    #[must_use]
    pub fn points(&self, half_life_ms: u64, now_ms: u64) -> u64 {
        self.left(half_life_ms, now_ms) / 1000
    }

    /// Adds points to what is left, and says how many there are now.
    pub fn add(&mut self, points: u64, half_life_ms: u64, now_ms: u64) -> u64 {
        let milli = self.left(half_life_ms, now_ms) + points.min(MAX_POINTS) * 1000;
        *self = Self { milli: milli.min(MAX_POINTS * 1000), at_ms: now_ms };
        self.milli / 1000
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Fading;

    #[test]
    fn half_is_gone_after_a_half_life() {
        let mut points = Fading::default();
        assert_eq!(points.add(100, 1000, 5000), 100);
        assert_eq!(points.points(1000, 5000), 100);
        assert_eq!(points.points(1000, 5500), 75);
        assert_eq!(points.points(1000, 6000), 50);
        assert_eq!(points.points(1000, 7000), 25);
        assert_eq!(points.points(1000, u64::MAX), 0);
        // The clock was turned back.
        assert_eq!(points.points(1000, 0), 100);
        assert_eq!(points.add(10, 1000, 6000), 60);
        assert_eq!(points.add(u64::MAX, 1000, 6000), 1 << 32);
        let (milli, at_ms) = points.saved();
        assert_eq!(Fading::restored(milli, at_ms), points);
    }

    proptest! {
        #[test]
        fn it_only_fades(points in 0_u64..1 << 33, half in 1_u64..100_000, first in 0_u64..1 << 40, more in 0_u64..1 << 40) {
            let mut fading = Fading::default();
            let all = fading.add(points, half, 0);
            let (early, late) = (fading.points(half, first), fading.points(half, first + more));
            prop_assert!(late <= early && early <= all);
        }
    }
}
