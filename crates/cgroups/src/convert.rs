//! From the scales of v1 to those of v2 and back, as the runtimes convert them.

/// v1's `cpu.shares` as v2's `cpu.weight`.
///
/// The formula that runc has since 1.3.2 and crun since 1.23: it maps least to least, most
/// to most and, unlike the linear one before it, the default to the default (1024 to 100).
#[must_use]
pub fn shares_to_weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10f64.powf(exponent).ceil() as u64
        }
    }
}

/// v2's `cpu.weight` as v1's `cpu.shares`: the least share that is converted to it, so that
/// there and back is the same.
#[must_use]
pub fn weight_to_shares(weight: u64) -> u64 {
    let (mut low, mut high) = (2, 262_144);
    if weight == 100 {
        // Several shares come to 100; the kernel's default is meant.
        return 1024;
    }
    while low < high {
        let middle = u64::midpoint(low, high);
        if shares_to_weight(middle) < weight {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// v1's `blkio.weight`, 10 to 1000, as v2's `io.weight`, 1 to 10000: in proportion, as
/// runc's and crun's documents say.
#[must_use]
pub fn blkio_to_weight(weight: u64) -> u64 {
    1 + (weight.clamp(10, 1000) - 10) * 9999 / 990
}

/// v2's `io.weight` as the weight of BFQ, 1 to 1000: v1's scale.
#[must_use]
pub fn weight_to_blkio(weight: u64) -> u64 {
    10 + ((weight.clamp(1, 10_000) - 1) * 990).div_ceil(9999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_defaults_of_the_scales_meet() {
        assert_eq!(shares_to_weight(2), 1);
        assert_eq!(shares_to_weight(1024), 100);
        assert_eq!(shares_to_weight(262_144), 10_000);
        assert_eq!(weight_to_shares(1), 2);
        assert_eq!(weight_to_shares(100), 1024);
        assert_eq!(blkio_to_weight(10), 1);
        assert_eq!(blkio_to_weight(1000), 10_000);
        assert_eq!(weight_to_blkio(1), 10);
        assert_eq!(weight_to_blkio(10_000), 1000);
    }

    #[test]
    fn a_weight_comes_back_the_same() {
        for weight in 1..=10_000 {
            assert_eq!(
                shares_to_weight(weight_to_shares(weight)),
                weight,
                "{weight}"
            );
        }
    }

    #[test]
    fn more_is_never_less() {
        let mut last = 0;
        for shares in 0..=262_144 {
            let weight = shares_to_weight(shares);
            assert!(weight >= last && (1..=10_000).contains(&weight), "{shares}");
            last = weight;
        }
    }
}
