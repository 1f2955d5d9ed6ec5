//! A limit of bytes a second.

use std::time::{Duration, Instant};

/// A bucket of tokens, one a byte: it fills at the rate, and what is sent takes from it.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Bytes a second.
    rate: u64,
    /// How many it holds.
    burst: u64,
    tokens: u64,
    filled: Instant,
}

impl Bucket {
    /// One of `rate` bytes a second. It holds `burst` bytes, or what comes in a quarter of a
    /// second: a busy machine may look for it no sooner. In the beginning it has little.
    #[must_use]
    pub fn new(rate: u64, burst: Option<u64>, now: Instant) -> Self {
        const LEAST: u64 = 4096;
        let holds = burst.unwrap_or(0).max(rate / 4).max(LEAST);
        Self {
            rate: rate.max(1),
            burst: holds,
            tokens: burst.unwrap_or(rate / 50).max(LEAST),
            filled: now,
        }
    }

    /// How many bytes may be sent now.
    pub fn fill(&mut self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.filled);
        let more = passed.as_nanos() * u128::from(self.rate) / 1_000_000_000;
        if more > 0 {
            let all = u128::from(self.tokens) + more;
            self.tokens = all.min(u128::from(self.burst)) as u64;
            // The rest of a byte is kept for the next time.
            let used = more * 1_000_000_000 / u128::from(self.rate);
            self.filled += Duration::from_nanos(used.min(u128::from(u64::MAX)) as u64);
        }
        self.tokens
    }

    /// Notes that so many were.
    pub fn take(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    /// How long it takes until a good part of it is there again.
    #[must_use]
    pub fn pause(&self) -> Duration {
        let wanted = (self.burst / 16).max(1).saturating_sub(self.tokens);
        Duration::from_nanos((wanted.saturating_mul(1_000_000_000) / self.rate).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_in_ten_seconds_is_ten_times_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1_250_000, None, start);
        let (mut now, mut passed) = (start, 0);
        while now < start + Duration::from_secs(10) {
            let most = bucket.fill(now).min(65_536);
            bucket.take(most);
            passed += most;
            now += bucket.pause();
        }
        let wanted = 12_500_000;
        assert!(
            (wanted * 99 / 100..wanted * 101 / 100).contains(&passed),
            "{passed}"
        );
    }

    #[test]
    fn it_holds_no_more_than_its_burst() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, Some(10_000), start);
        assert_eq!(bucket.fill(start), 10_000);
        assert_eq!(bucket.fill(start + Duration::from_secs(3600)), 10_000);
        bucket.take(20_000);
        assert_eq!(bucket.fill(start + Duration::from_secs(3600)), 0);
        assert!(bucket.pause() >= Duration::from_millis(500));
    }
}
