//! How much of something there may be in a time: a token bucket, by a clock that is handed in.

/// Tokens come in at a steady rate up to a capacity, and whatever is done takes some.
///
/// Counts in sixty-thousandths of a token, so that a rate of one a minute comes in each millisecond, in whole numbers.
#[derive(Clone, Debug)]
pub struct TokenBucket {
    capacity: u64,
    per_minute: u64,
    /// Parts of tokens; below zero where more was charged than there was.
    level: i64,
    at_ms: u64,
}

/// Most tokens of a bucket, and most of a charge: its parts fit into an `i64` a hundred times.
const MAX_TOKENS: u64 = 1 << 40;

impl TokenBucket {
    /// A full bucket of `capacity` tokens, into which `per_minute` come a minute. Both are cut to 2^40.
    #[must_use]
    pub fn new(capacity: u64, per_minute: u64, now_ms: u64) -> Self {
        let (capacity, per_minute) = (capacity.min(MAX_TOKENS), per_minute.min(MAX_TOKENS));
        Self { capacity, per_minute, level: parts(capacity), at_ms: now_ms }
    }

    /// Lets in what came since the last time. A clock that was turned back brings nothing.
    fn refill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        self.at_ms = now_ms;
        // One token a minute is one part a millisecond.
        let came = i64::try_from(passed_ms.saturating_mul(self.per_minute)).unwrap_or(i64::MAX);
        self.level = self.level.saturating_add(came).min(parts(self.capacity));
    }

    /// Takes `tokens` if there are as many.
    pub fn take(&mut self, tokens: u64, now_ms: u64) -> bool {
        self.refill(now_ms);
        let wanted = parts(tokens.min(MAX_TOKENS));
        let enough = tokens <= self.capacity && self.level >= wanted;
        if enough {
            self.level -= wanted;
        }
        enough
    }

    /// Takes `tokens` whether they are there or not: for what is known only when it is done. Until the debt is paid,
    /// [`TokenBucket::is_open`] says no.
    pub fn charge(&mut self, tokens: u64, now_ms: u64) {
        self.refill(now_ms);
        self.level = self.level.saturating_sub(parts(tokens.min(MAX_TOKENS)));
    }

    /// The same, but the debt that it leaves is no greater than the capacity, where it was not before.
    pub fn charge_within(&mut self, tokens: u64, now_ms: u64) {
        self.refill(now_ms);
        let floor = self.level.min(-parts(self.capacity));
        self.level = self.level.saturating_sub(parts(tokens.min(MAX_TOKENS))).max(floor);
    }

    /// Whether there is anything left.
    pub fn is_open(&mut self, now_ms: u64) -> bool {
        self.refill(now_ms);
        self.level > 0
    }

    /// Whole tokens that are left.
    pub fn left(&mut self, now_ms: u64) -> u64 {
        self.refill(now_ms);
        u64::try_from(self.level / PARTS).unwrap_or(0)
    }
}

/// Parts of a token: milliseconds of a minute.
const PARTS: i64 = 60_000;

fn parts(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX).saturating_mul(PARTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::TokenBucket;

    #[test]
    fn a_full_bucket_gives_its_capacity_and_then_its_rate() {
        let mut bucket = TokenBucket::new(5, 120, 1000);
        assert!((0..5).all(|_| bucket.take(1, 1000)));
        assert!(!bucket.take(1, 1000));
        assert!(!bucket.take(1, 1499));
        assert!(bucket.take(1, 1500));
        assert!(!bucket.take(1, 1500));
        // However long it rests, it holds no more than it can.
        assert_eq!(bucket.left(u64::MAX), 5);
        assert!(!bucket.take(6, u64::MAX));
    }

    #[test]
    fn a_clock_turned_back_brings_nothing_and_takes_nothing() {
        let mut bucket = TokenBucket::new(2, 60_000, 5000);
        assert!(bucket.take(2, 5000));
        assert!(!bucket.take(1, 10));
        assert!(bucket.take(1, 11));
    }

    #[test]
    fn a_debt_is_paid_before_anything_is_given() {
        let mut bucket = TokenBucket::new(10, 600, 0);
        bucket.charge(30, 0);
        assert!(!bucket.is_open(2000));
        assert!(bucket.is_open(2001));
        bucket.charge(u64::MAX, 2001);
        bucket.charge(u64::MAX, 2001);
        assert!(!bucket.is_open(3000));
    }

    #[test]
    fn a_debt_that_is_bounded_is_paid_soon() {
        let mut bucket = TokenBucket::new(10, 600, 0);
        (0..3).for_each(|_| bucket.charge_within(1000, 0));
        assert!(!bucket.is_open(1000));
        assert!(bucket.is_open(1001));
        // It forgives nothing of a greater one.
        bucket.charge(30, 1001);
        bucket.charge_within(5, 1001);
        assert!(!bucket.is_open(3500) && bucket.is_open(4001));
    }

    proptest! {
        /// No window of time sees more than the capacity and what comes in meanwhile.
        #[test]
        fn never_more_than_the_rate(
            capacity in 0_u64..100,
            rate in 0_u64..3000,
            steps in prop::collection::vec((0_u64..3000, 0_u64..20), 1..80),
        ) {
            let (mut now, mut given) = (7, 0);
            let mut bucket = TokenBucket::new(capacity, rate, now);
            for (passed, wanted) in steps {
                now += passed;
                given += if bucket.take(wanted, now) { wanted } else { 0 };
                prop_assert!(given * 60_000 <= capacity * 60_000 + rate * (now - 7));
            }
        }
    }
}
