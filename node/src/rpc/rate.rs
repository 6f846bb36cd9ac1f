//! How often one address may ask.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use lru::LruCache;

use crate::network::address::owner;
use crate::network::bucket::TokenBucket;

/// Addresses that are remembered, the latest: more than ask in a second, and below a megabyte. Whoever is forgotten may
/// ask anew, which costs him as many addresses.
const MAX_ADDRESSES: NonZeroUsize = NonZeroUsize::new(4096).expect("it is not zero");

/// Counts the calls of each address.
pub(super) struct Rates {
    start: Instant,
    burst: u64,
    per_minute: u64,
    buckets: Mutex<LruCache<IpAddr, TokenBucket>>,
}

impl Rates {
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        Self {
            start: Instant::now(),
            burst: burst.into(),
            per_minute: u64::from(per_second) * 60,
            buckets: Mutex::new(LruCache::new(MAX_ADDRESSES)),
        }
    }

    /// Whether one more call of this address is answered.
    pub(super) fn allow(&self, address: IpAddr) -> bool {
        self.allow_at(address, self.start.elapsed().as_millis() as u64)
    }

    fn allow_at(&self, address: IpAddr, now_ms: u64) -> bool {
        // A panic elsewhere leaves the counts as good as they were.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || TokenBucket::new(self.burst, self.per_minute, now_ms);
        buckets.get_or_insert_mut(owner(address), new).take(1, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_a_burst_and_then_its_rate() {
        let rates = Rates::new(3, 10);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!((0..5).filter(|_| rates.allow_at(one, 0)).count(), 3);
        assert!(rates.allow_at(other, 0), "one's is not the other's");
        assert!(!rates.allow_at(one, 99));
        assert!(rates.allow_at(one, 100));
    }

    #[test]
    fn many_addresses_of_one_owner_count_as_one() {
        let rates = Rates::new(1, 1);
        assert!(rates.allow_at(address("2001:db8::1"), 0));
        assert!(!rates.allow_at(address("2001:db8::2"), 0));
        assert!(rates.allow_at(address("2001:db8:0:1::1"), 0));
        assert!(rates.allow_at(address("192.0.2.1"), 0));
        assert!(!rates.allow_at(address("::ffff:192.0.2.1"), 0));
    }

    #[test]
    fn no_more_addresses_than_the_bound_are_remembered() {
        let rates = Rates::new(1, 1);
        for number in 0..10_000_u32 {
            assert!(rates.allow_at(IpAddr::from(number.to_be_bytes()), 0));
        }
        assert_eq!(rates.buckets.lock().unwrap().len(), MAX_ADDRESSES.get());
    }
}
