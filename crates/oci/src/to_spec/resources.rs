//! `linux.resources`: no Spec has limits of a control group.

use warren_confine::Capability;
use warren_namespaces::Kind;
use warren_spawn::Namespace;

use super::Reader;
use crate::config::{DeviceRule, Linux};

impl Reader<'_> {
    pub(super) fn resources(&mut self, linux: &Linux) {
        let losses = &mut self.losses;
        if !linux.cgroups_path.is_empty() {
            losses.note("linux.cgroupsPath", "the caller's control group is kept");
        }
        let Some(resources) = &linux.resources else {
            return;
        };
        let limits = [
            ("memory", resources.memory.is_some()),
            ("cpu", resources.cpu.is_some()),
            ("pids", has_limit(resources.pids.as_ref())),
            ("blockIO", resources.block_io.is_some()),
            ("hugepageLimits", !resources.hugepage_limits.is_empty()),
            ("network", resources.network.is_some()),
            ("rdma", !resources.rdma.is_empty()),
            ("unified", !resources.unified.is_empty()),
        ];
        for (name, is_there) in limits {
            if is_there {
                let path = format!("linux.resources.{name}");
                losses.weaker(path, "no control group is made that would hold it");
            }
        }
        if resources.devices.iter().any(denies) && !self.cannot_make_devices() {
            self.losses.weaker(
                "linux.resources.devices",
                "with CAP_MKNOD and no user namespace, any device could be made",
            );
        }
    }

    /// Every mount forbids device files but the few that are given, so that rules on
    /// them are held where nobody can make any.
    fn cannot_make_devices(&self) -> bool {
        let has_user_namespace =
            *self.spec.namespaces.get(Kind::User) != Namespace::Inherit;
        let capabilities = self.spec.all_capabilities();
        has_user_namespace
            || capabilities.is_some_and(|sets| !sets.bounding.contains(Capability::MKNOD))
    }
}

fn has_limit(pids: Option<&crate::config::Pids>) -> bool {
    pids.and_then(|pids| pids.limit)
        .is_some_and(|limit| limit > 0)
}

fn denies(rule: &DeviceRule) -> bool {
    !rule.allow
}
