//! Other limits for a container that is there.

use super::container::Container;
use super::error::Error;
use super::group::failed;
use super::status::Status;
use crate::config::{Memory, Resources};
use std::borrow::Cow;
use warren_cgroups::Cgroup;
use warren_cgroups::limits::Most;

impl Container {
    /// Changes the limits that `resources` has, and no other.
    ///
    /// # Errors
    /// Where it has stopped, or a limit cannot be had.
    pub fn update(&self, resources: &Resources) -> Result<(), Error> {
        self.locked(|| {
            if self.status()? == Status::Stopped {
                return Err(Error::not_running());
            }
            let cgroup = self.needed_cgroup("update")?;
            let limits = crate::limits(&with_memory(resources, &cgroup))?;
            cgroup.set(&limits).map_err(failed)
        })
    }
}

/// A limit of swap counts memory too: that which the group has, where no other is given.
fn with_memory<'a>(resources: &'a Resources, cgroup: &Cgroup) -> Cow<'a, Resources> {
    let memory = resources.memory.as_ref();
    let lacks_limit = |memory: &&Memory| {
        memory.limit.is_none() && memory.swap.is_some_and(|swap| swap > 0)
    };
    match (memory.filter(lacks_limit), cgroup.limits().memory.max) {
        (Some(memory), Some(Most::Of(max))) => Cow::Owned(Resources {
            memory: Some(Memory {
                limit: i64::try_from(max).ok(),
                ..memory.clone()
            }),
            ..resources.clone()
        }),
        _ => Cow::Borrowed(resources),
    }
}
