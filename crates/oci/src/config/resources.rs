//! `linux.resources`.

use std::collections::BTreeMap;

use super::object::object;

object! {
    /// What the control group allows.
    pub struct Resources {
        sometimes {
            /// Which devices may be opened; the last rule that fits counts.
            devices: Vec<DeviceRule> = "devices",
            /// Memory.
            memory: Option<Memory> = "memory",
            /// Processors.
            cpu: Option<Cpu> = "cpu",
            /// Processes.
            pids: Option<Pids> = "pids",
            /// Disks.
            block_io: Option<BlockIo> = "blockIO",
            /// Huge pages.
            hugepage_limits: Vec<HugepageLimit> = "hugepageLimits",
            /// Network.
            network: Option<Network> = "network",
            /// Remote direct memory access, by device.
            rdma: BTreeMap<String, Rdma> = "rdma",
            /// Files of cgroup v2 and what is written to them.
            unified: BTreeMap<String, String> = "unified",
        }
    }
}

object! {
    /// One of `devices`.
    pub struct DeviceRule {
        always {
            /// Whether it allows or denies.
            allow: bool = "allow",
        }
        sometimes {
            /// `a`, `c` or `b`; all if empty.
            r#type: String = "type",
            /// All if not given.
            major: Option<i64> = "major",
            /// All if not given.
            minor: Option<i64> = "minor",
            /// Of `r`, `w` and `m`.
            access: String = "access",
        }
    }
}

object! {
    /// Memory, in bytes; -1 for no limit.
    pub struct Memory {
        sometimes {
            /// The limit.
            limit: Option<i64> = "limit",
            /// What may be had even when others want it.
            reservation: Option<i64> = "reservation",
            /// The limit of memory and swap together.
            swap: Option<i64> = "swap",
            /// Deprecated.
            kernel: Option<i64> = "kernel",
            /// Buffers of TCP.
            kernel_tcp: Option<i64> = "kernelTCP",
            /// 0 to 100.
            swappiness: Option<u64> = "swappiness",
            /// Whether processes wait instead of being killed.
            disable_oom_killer: Option<bool> = "disableOOMKiller",
            /// Of cgroup v1.
            use_hierarchy: Option<bool> = "useHierarchy",
            /// Whether an update below what is in use is refused.
            check_before_update: Option<bool> = "checkBeforeUpdate",
        }
    }
}

object! {
    /// Processors; times in microseconds.
    pub struct Cpu {
        sometimes {
            /// The share of v1: 2 to 262144.
            shares: Option<u64> = "shares",
            /// Time per period; -1 for no limit.
            quota: Option<i64> = "quota",
            /// What may be saved up.
            burst: Option<u64> = "burst",
            /// The period.
            period: Option<u64> = "period",
            /// Of real-time tasks.
            realtime_runtime: Option<i64> = "realtimeRuntime",
            /// Likewise.
            realtime_period: Option<u64> = "realtimePeriod",
            /// Which processors, as `0-3,7`.
            cpus: String = "cpus",
            /// Which memory nodes.
            mems: String = "mems",
            /// 1 for `SCHED_IDLE`.
            idle: Option<i64> = "idle",
        }
    }
}

object! {
    /// Processes.
    pub struct Pids {
        sometimes {
            /// How many; -1 for no limit.
            limit: Option<i64> = "limit",
        }
    }
}

object! {
    /// Disks.
    pub struct BlockIo {
        sometimes {
            /// 10 to 1000.
            weight: Option<u16> = "weight",
            /// Against the groups below.
            leaf_weight: Option<u16> = "leafWeight",
            /// For one device.
            weight_device: Vec<WeightDevice> = "weightDevice",
            /// Bytes a second.
            throttle_read_bps_device: Vec<Throttle> = "throttleReadBpsDevice",
            /// Bytes a second.
            throttle_write_bps_device: Vec<Throttle> = "throttleWriteBpsDevice",
            /// Operations a second.
            throttle_read_iops_device: Vec<Throttle> = "throttleReadIOPSDevice",
            /// Operations a second.
            throttle_write_iops_device: Vec<Throttle> = "throttleWriteIOPSDevice",
        }
    }
}

object! {
    /// The weight of a device.
    pub struct WeightDevice {
        always {
            /// Its driver.
            major: i64 = "major",
            /// Its number with that.
            minor: i64 = "minor",
        }
        sometimes {
            /// 10 to 1000.
            weight: Option<u16> = "weight",
            /// Against the groups below.
            leaf_weight: Option<u16> = "leafWeight",
        }
    }
}

object! {
    /// The rate of a device.
    pub struct Throttle {
        always {
            /// Its driver.
            major: i64 = "major",
            /// Its number with that.
            minor: i64 = "minor",
            /// Bytes or operations a second.
            rate: u64 = "rate",
        }
    }
}

object! {
    /// Huge pages of one size.
    pub struct HugepageLimit {
        always {
            /// `2MB`, ...
            page_size: String = "pageSize",
            /// Bytes.
            limit: u64 = "limit",
        }
    }
}

object! {
    /// Network, of cgroup v1.
    pub struct Network {
        sometimes {
            /// The class of packets.
            class_id: Option<u32> = "classID",
            /// By interface.
            priorities: Vec<InterfacePriority> = "priorities",
        }
    }
}

object! {
    /// The priority on an interface.
    pub struct InterfacePriority {
        always {
            /// Its name.
            name: String = "name",
            /// The priority.
            priority: u32 = "priority",
        }
    }
}

object! {
    /// Remote direct memory access.
    pub struct Rdma {
        sometimes {
            /// Handles.
            hca_handles: Option<u32> = "hcaHandles",
            /// Objects.
            hca_objects: Option<u32> = "hcaObjects",
        }
    }
}
