//! A control group of the process's own.
//!
//! It is made and limited before the clone, so that what cannot be had fails before anything
//! else is there; on v2 the process is then born in it. v1 has no such call, and the first
//! write of a pid may wait 10 ms for the kernel (RCU): the parent moves the process while
//! that makes its mounts. Only then the child makes its cgroup namespace, whose root is the
//! group in which it is made: clone3(2) would take the parent's.

use warren_cgroups::{Refused, Why};
use warren_namespaces::Kind;

use super::Planner;
use crate::error::Error;
use crate::reasons;
use crate::step::Step;

impl Planner<'_> {
    /// Settles what will be made, if anything is limited.
    pub(super) fn plan_group(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        self.check_core_sched()?;
        if spec.cgroup.is_none() && spec.limits.is_empty() {
            return Ok(());
        }
        let placement = spec.cgroup.clone().unwrap_or_default();
        let ground = self.host.ground(&placement.place);
        let planned = ground.and_then(|ground| ground.plan(&placement, &spec.limits));
        let refused = |error: warren_cgroups::Error| {
            Error::spec(error.to_string()).hints_of(reasons::no_limits(&error, self.host))
        };
        let blueprint = planned.map_err(refused)?;
        self.refused.extend_from_slice(blueprint.refused());
        self.group = (!blueprint.is_empty()).then_some(blueprint);
        Ok(())
    }

    fn check_core_sched(&mut self) -> Result<(), Error> {
        const WHY: &str = "this kernel has no core scheduling (CONFIG_SCHED_CORE)";
        if !self.spec.core_sched || self.can_share_no_cores() {
            return Ok(());
        }
        if !self.spec.cgroup.as_ref().is_some_and(|it| it.best_effort) {
            return Err(Error::spec(format!("limit core_sched: {WHY}"))
                .hint("--limits best-effort goes on without it"));
        }
        self.refused.push(Refused {
            limit: "core_sched".to_owned(),
            why: Why::Other(WHY.to_owned()),
        });
        Ok(())
    }

    pub(super) fn can_share_no_cores(&self) -> bool {
        warren_sys::has_core_scheduling()
    }

    pub(super) fn make_group_before_clone(&mut self) {
        if self.group.as_ref().is_some_and(|group| !group.is_scope()) {
            self.make_group();
        }
    }

    /// The parent's part after the clone; systemd makes no group without a process.
    pub(super) fn fill_group(&mut self) {
        let Some(group) = &self.group else { return };
        let delegate = group.delegates();
        if group.is_scope() {
            self.make_group();
        }
        self.push(Step::EnterGroup { delegate });
    }

    fn make_group(&mut self) {
        let Some(group) = self.group.clone() else {
            return;
        };
        let settings = group.settings().to_vec();
        self.push(Step::MakeGroup(Box::new(group)));
        for (number, setting) in settings.into_iter().enumerate() {
            self.push(Step::SetLimit { number, setting });
        }
    }

    /// The child's part: once, before the first step that needs the process to be in it.
    pub(super) fn await_group(&mut self) {
        if self.group.is_none() || self.awaits_group {
            return;
        }
        self.awaits_group = true;
        self.push(Step::AwaitGroup);
        if self.is_new(Kind::Cgroup) {
            self.push(Step::CgroupNamespace);
        }
    }
}
