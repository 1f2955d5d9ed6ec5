//! Who the caller is.

use std::fs;

/// Whether the caller is root of the machine, and not of a user namespace, where engines
/// call a runtime for a user.
#[must_use]
pub fn is_root_of_machine() -> bool {
    rustix::process::geteuid().is_root()
        && fs::read_to_string("/proc/self/uid_map").map_or(true, |map| is_whole(&map))
}

/// Whether a map has all ids, each as itself: that of the first user namespace.
fn is_whole(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_ids_is_not_the_machine() {
        assert!(is_whole("         0          0 4294967295\n"));
        assert!(!is_whole("         0       1000          1\n"));
        assert!(!is_whole("0 1000 1\n1 300000 65536\n"));
        assert!(!is_whole("0 100000 4294967295\n"));
    }
}
