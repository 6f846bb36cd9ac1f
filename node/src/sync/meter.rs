//! How far, how fast, and how long still.

use std::collections::VecDeque;

use crate::chain::Height;

/// Over how many samples the rate is taken.
const SAMPLES: usize = 30;
/// Least time between two.
const SAMPLE_MS: u64 = 1_000;

/// What is being done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing: no peer has more than is here.
    #[default]
    Idle,
    /// Headers are asked for.
    Headers,
    /// Blocks are asked for.
    Blocks,
    /// Branches of peers that differ are compared before one is followed.
    Comparing,
}

/// How far catching up has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// Height of the best chain here.
    pub height: Height,
    /// Height up to which headers were verified.
    pub headers: Height,
    /// Height of the heaviest chain that a peer claims, or of the one here.
    pub target: Height,
    /// Blocks a second, over the last half minute.
    pub blocks_per_second: f64,
    /// What is left of it, in milliseconds; nothing where the rate is not known.
    pub left_ms: Option<u64>,
    /// Peers that can be asked.
    pub peers: usize,
}

/// Heights over time.
#[derive(Debug, Default)]
pub(super) struct Meter {
    samples: VecDeque<(u64, Height)>,
}

impl Meter {
    pub(super) fn note(&mut self, now_ms: u64, height: Height) {
        match self.samples.back() {
            // The clock was set back.
            Some((last, _)) if now_ms < *last => self.samples.clear(),
            Some((last, _)) if now_ms - last < SAMPLE_MS => return,
            _ => {}
        }
        self.samples.push_back((now_ms, height));
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Blocks a second.
    pub(super) fn rate(&self) -> f64 {
        let (Some((begin, low)), Some((end, high))) = (self.samples.front(), self.samples.back()) else {
            return 0.0;
        };
        let ms = end.saturating_sub(*begin);
        if ms == 0 { 0.0 } else { high.0.saturating_sub(low.0) as f64 * 1000.0 / ms as f64 }
    }

    /// Milliseconds until `target` at that rate.
    pub(super) fn left_ms(&self, height: Height, target: Height) -> Option<u64> {
        let rate = self.rate();
        let blocks = target.0.saturating_sub(height.0);
        match blocks {
            0 => Some(0),
            _ if rate > 0.0 => Some((blocks as f64 * 1000.0 / rate) as u64),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_time_left() {
        let mut meter = Meter::default();
        assert_eq!((meter.rate(), meter.left_ms(Height(0), Height(10))), (0.0, None));
        for second in 0..100 {
            meter.note(second * 1000, Height(second * 300));
            meter.note(second * 1000 + 1, Height(second * 300));
        }
        assert!((meter.rate() - 300.0).abs() < 1e-9);
        assert_eq!(meter.samples.len(), SAMPLES);
        assert_eq!(meter.left_ms(Height(1000), Height(1600)), Some(2000));
        assert_eq!(meter.left_ms(Height(1600), Height(1600)), Some(0));
        meter.note(5, Height(7));
        assert_eq!(meter.rate(), 0.0, "the clock was set back");
    }
}
