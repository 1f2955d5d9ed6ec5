//! Containers as the OCI runtime specification describes them.

mod config;

use warren_testkit::Test;

/// All tests of it, by file.
pub const TESTS: [&[Test]; 5] = [
    config::attacks::TESTS,
    config::limits::TESTS,
    config::mounts::TESTS,
    config::namespaces::TESTS,
    config::process::TESTS,
];
