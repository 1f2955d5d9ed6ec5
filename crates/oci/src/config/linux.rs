//! `linux`, but its resources.

use std::collections::BTreeMap;

use warren_confine::seccomp::oci::Seccomp;

use super::mount::IdMapping;
use super::object::object;
use super::resources::Resources;

object! {
    /// What only Linux has.
    pub struct Linux {
        sometimes {
            /// uid_map of a new user namespace.
            uid_mappings: Vec<IdMapping> = "uidMappings",
            /// gid_map.
            gid_mappings: Vec<IdMapping> = "gidMappings",
            /// Settings below /proc/sys, by name.
            sysctl: BTreeMap<String, String> = "sysctl",
            /// What the control group allows.
            resources: Option<Resources> = "resources",
            /// The control group.
            cgroups_path: String = "cgroupsPath",
            /// Namespaces; the caller's of all kinds that are not listed.
            namespaces: Vec<Namespace> = "namespaces",
            /// Device files that are made.
            devices: Vec<Device> = "devices",
            /// Network interfaces that are moved in, by their name outside.
            net_devices: BTreeMap<String, NetDevice> = "netDevices",
            /// Which system calls are refused.
            seccomp: Option<Seccomp> = "seccomp",
            /// `shared`, `slave`, `private` or `unbindable`.
            rootfs_propagation: String = "rootfsPropagation",
            /// Paths that cannot be read.
            masked_paths: Vec<String> = "maskedPaths",
            /// Paths that cannot be written.
            readonly_paths: Vec<String> = "readonlyPaths",
            /// The label of SELinux of all mounts.
            mount_label: String = "mountLabel",
            /// Cache and bandwidth of the processor.
            intel_rdt: Option<IntelRdt> = "intelRdt",
            /// personality(2).
            personality: Option<Personality> = "personality",
            /// Offsets of the clocks `monotonic` and `boottime` of a time namespace.
            time_offsets: BTreeMap<String, TimeOffset> = "timeOffsets",
            /// set_mempolicy(2).
            memory_policy: Option<MemoryPolicy> = "memoryPolicy",
        }
    }
}

object! {
    /// One of `linux.namespaces`.
    pub struct Namespace {
        always {
            /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
            r#type: String = "type",
        }
        sometimes {
            /// The file of one that exists; a new one if empty.
            path: String = "path",
        }
    }
}

object! {
    /// One of `linux.devices`.
    pub struct Device {
        always {
            /// `c`, `u`, `b` or `p`.
            r#type: String = "type",
            /// Where it is made.
            path: String = "path",
        }
        sometimes {
            /// Its driver.
            major: i64 = "major",
            /// Its number with that.
            minor: i64 = "minor",
            /// Its mode.
            file_mode: Option<u32> = "fileMode",
            /// Its owner.
            uid: Option<u32> = "uid",
            /// Its group.
            gid: Option<u32> = "gid",
        }
    }
}

object! {
    /// One of `linux.netDevices`.
    pub struct NetDevice {
        sometimes {
            /// Its name inside; the same if empty.
            name: String = "name",
        }
    }
}

object! {
    /// `linux.intelRdt`.
    pub struct IntelRdt {
        sometimes {
            /// The class of service.
            clos_id: String = "closID",
            /// Lines for the file `schemata` of resctrl.
            schemata: Vec<String> = "schemata",
            /// Its `L3:` line.
            l3_cache_schema: String = "l3CacheSchema",
            /// Its `MB:` line.
            mem_bw_schema: String = "memBwSchema",
            /// Whether the container is counted by itself.
            enable_monitoring: bool = "enableMonitoring",
        }
    }
}

object! {
    /// personality(2).
    pub struct Personality {
        always {
            /// `LINUX` or `LINUX32`.
            domain: String = "domain",
        }
        sometimes {
            /// None is defined.
            flags: Vec<String> = "flags",
        }
    }
}

object! {
    /// The offset of a clock.
    pub struct TimeOffset {
        sometimes {
            /// Seconds.
            secs: i64 = "secs",
            /// Nanoseconds more.
            nanosecs: u32 = "nanosecs",
        }
    }
}

object! {
    /// set_mempolicy(2).
    pub struct MemoryPolicy {
        always {
            /// `MPOL_BIND`, ...
            mode: String = "mode",
        }
        sometimes {
            /// Nodes, as `0-3,7`.
            nodes: String = "nodes",
            /// `MPOL_F_STATIC_NODES`, ...
            flags: Vec<String> = "flags",
        }
    }
}
