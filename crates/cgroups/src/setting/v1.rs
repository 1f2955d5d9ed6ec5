//! How v1 writes numbers.

use crate::limits::Most;

/// Bytes, or a quota: -1 for no limit.
pub fn most(most: Most) -> String {
    most.limit()
        .map_or_else(|| "-1".to_owned(), |most| most.to_string())
}

/// A rate: 0 for no limit.
pub fn rate(most: Most) -> String {
    most.limit().unwrap_or(0).to_string()
}
