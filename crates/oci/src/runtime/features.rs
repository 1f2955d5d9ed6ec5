//! What this runtime can do, as features.md has it.

use serde_json::{Value, json};
use warren_confine::CapabilitySet;
use warren_namespaces::Kind;

use crate::config::VERSION;
use crate::kinds;
use crate::to_spec::options::{FLAGS as MOUNT_FLAGS, PROPAGATION, SUPER_FLAGS};

/// The features, as a JSON object.
#[must_use]
pub fn features(version: &str) -> Value {
    let namespaces: Vec<&str> = Kind::ALL.into_iter().map(kinds::name).collect();
    let capabilities: Vec<String> = CapabilitySet::ALL
        .iter()
        .map(|one| one.to_string().to_ascii_uppercase())
        .collect();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": VERSION,
        "hooks": [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart",
            "poststop",
        ],
        "mountOptions": mount_options(),
        "linux": {
            "namespaces": namespaces,
            "capabilities": capabilities,
            "cgroup": {
                "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true,
            },
            "seccomp": {
                "enabled": true,
                "actions": ACTIONS,
                "operators": OPERATORS,
                "archs": ARCHITECTURES,
                "knownFlags": FLAGS,
                "supportedFlags": FLAGS,
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
            "memoryPolicy": { "modes": POLICIES, "flags": POLICY_FLAGS },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": true },
        },
        "annotations": {
            "io.github.warren.version": version,
            // For who asks whether there is a command for it; criu may be missing all the same.
            "org.opencontainers.runc.checkpoint.enabled": "true",
        },
        "potentiallyUnsafeConfigAnnotations": [],
    })
}

/// From the tables by which they are read.
fn mount_options() -> Vec<String> {
    const OTHERS: [&str; 6] =
        ["bind", "rbind", "idmap", "ridmap", "tmpcopyup", "defaults"];
    let flags = MOUNT_FLAGS.iter().map(|(name, ..)| *name);
    let flags = flags.filter(|name| *name != "defaults");
    let spread = PROPAGATION.iter().map(|(name, _)| *name);
    let super_flags = SUPER_FLAGS.iter().map(|(name, ..)| (*name).to_owned());
    let mut all: Vec<String> = flags
        .chain(spread)
        .flat_map(|name| [name.to_owned(), format!("r{name}")])
        .chain(super_flags)
        .chain(OTHERS.map(str::to_owned))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];
const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];
const ARCHITECTURES: [&str; 3] = ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"];
const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];
const POLICIES: [&str; 7] = [
    "MPOL_BIND",
    "MPOL_DEFAULT",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];
const POLICY_FLAGS: [&str; 3] = [
    "MPOL_F_NUMA_BALANCING",
    "MPOL_F_RELATIVE_NODES",
    "MPOL_F_STATIC_NODES",
];
