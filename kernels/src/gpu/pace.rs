//! How many steps a dispatch does: as many as take some milliseconds.

use std::time::Duration;

/// What a dispatch shall take: long enough to keep its start cheap, short enough for
/// strips to be read back between two, and far below what a display's watchdog allows.
const TARGET: Duration = Duration::from_millis(10);

/// Most steps of a dispatch. Mesa's software Vulkan silently ends an invocation after
/// 65,535 loop iterations; a step is one.
pub(crate) const MAX_STEPS: u32 = 4096;

/// Compressions below which a dispatch's start costs more than its work.
const LEAST_COMPRESSIONS: usize = 1 << 17;

/// Adapts the steps of dispatches to the time that they take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    least: u32,
    steps: u32,
}

impl Pace {
    /// For so many rows in flight.
    pub(crate) fn new(rows: usize) -> Self {
        let least = (LEAST_COMPRESSIONS / rows).clamp(1, 256) as u32;
        Self { least, steps: least }
    }

    /// Steps of the next dispatch.
    pub(crate) fn steps(&self) -> u32 {
        self.steps
    }

    /// A dispatch of so many steps took so long.
    pub(crate) fn took(&mut self, steps: u32, time: Duration) {
        let fitting = f64::from(steps) * TARGET.as_secs_f64() / time.as_secs_f64().max(1e-6);
        // By halves and doubles at most: a machine that was busy elsewhere says little, and
        // the first dispatches may find a card asleep.
        let fitting = fitting.clamp(f64::from(steps / 2), f64::from(steps.saturating_mul(2)));
        self.steps = (fitting as u32).clamp(self.least, MAX_STEPS);
    }

    /// A dispatch of so many steps took no longer than that, and maybe less: other
    /// work on the card or on the host lies in it.
    pub(crate) fn took_at_most(&mut self, steps: u32, time: Duration) {
        if time < TARGET {
            self.took(steps, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dispatches come to take what they shall, on a slow adapter and on a fast one.
    #[test]
    fn steps_fit_the_target() {
        for step in [Duration::from_micros(1), Duration::from_micros(20), Duration::from_micros(100)] {
            let mut pace = Pace::new(1 << 14);
            for _ in 0..20 {
                pace.took(pace.steps(), step * pace.steps());
            }
            let fitting = (TARGET.as_nanos() / step.as_nanos()).min(u128::from(MAX_STEPS));
            assert!(u128::from(pace.steps()).abs_diff(fitting) <= 1, "{step:?}: {} of {fitting}", pace.steps());
        }
    }

    /// A host that was busy elsewhere says nothing of the card.
    #[test]
    fn what_is_not_the_dispatch_s_own_time_does_not_shrink_it() {
        let mut pace = Pace::new(1 << 14);
        (0..20).for_each(|_| pace.took_at_most(pace.steps(), Duration::from_millis(2)));
        let steps = pace.steps();
        assert_eq!(steps, MAX_STEPS);
        pace.took_at_most(steps, Duration::from_secs(3));
        assert_eq!(pace.steps(), steps);
    }

    /// Where the time is not the steps', fewer steps would only waste more of it.
    #[test]
    fn a_dispatch_stays_worth_its_start() {
        let mut pace = Pace::new(512);
        for _ in 0..40 {
            pace.took(pace.steps(), Duration::from_secs(10));
        }
        assert_eq!(pace.steps(), 256);
        for _ in 0..40 {
            pace.took(pace.steps(), Duration::ZERO);
        }
        assert_eq!(pace.steps(), MAX_STEPS);
    }
}
