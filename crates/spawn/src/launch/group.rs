//! The control group of a process that is being launched.

use std::os::fd::BorrowedFd;

use warren_cgroups::{Blueprint, Cgroup};

use crate::error::{Error, ErrorKind};
use crate::reasons;

/// A group that was made, and is removed again with whoever is in it unless the launch
/// succeeds.
#[derive(Debug)]
pub struct MadeGroup {
    blueprint: Box<Blueprint>,
    /// `None` once it was handed to the [`Child`](crate::Child).
    group: Option<Cgroup>,
}

impl MadeGroup {
    /// Makes it, around the process `pid` where systemd does.
    pub fn make(blueprint: &Blueprint, pid: Option<u32>) -> Result<Self, Error> {
        let group = blueprint.create(pid).map_err(|error| failed(&error))?;
        Ok(Self {
            blueprint: Box::new(blueprint.clone()),
            group: Some(group),
        })
    }

    pub fn set_limit(&mut self, number: usize) -> Result<(), Error> {
        let Some(group) = &mut self.group else {
            return Ok(());
        };
        let set = self.blueprint.set_limit(group, number);
        set.map_err(|error| failed(&error))
    }

    /// In which the process can be born.
    pub fn cradle(&self) -> Option<BorrowedFd<'_>> {
        let group = self.group.as_ref()?;
        group
            .v2_folder()
            .filter(|_| self.blueprint.can_be_born_in())
    }

    /// Moves the process in, as far as it was not born there.
    pub fn fill(&self, pid: u32, is_born: bool) -> Result<(), Error> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        let moved = if is_born {
            group.add_on_v1(pid)
        } else if self.blueprint.is_scope() {
            Ok(())
        } else {
            group.add(pid)
        };
        moved.map_err(|error| failed(&error))
    }

    pub fn delegate(&self, uid: u32, gid: u32) -> Result<(), Error> {
        let Some(group) = &self.group else {
            return Ok(());
        };
        group.delegate(uid, gid).map_err(|error| failed(&error))
    }

    /// Whether the kernel killed one of its processes for want of memory.
    pub fn is_starved(&self) -> bool {
        let kills = self.group.as_ref().and_then(Cgroup::oom_kills);
        kills.is_some_and(|kills| kills > 0)
    }

    /// The group, for whoever owns the process from now on, and whether it stays.
    pub fn hand_over(mut self) -> Option<(Cgroup, bool)> {
        let keeps = self.blueprint.keeps();
        self.group.take().map(|group| (group, keeps))
    }
}

impl Drop for MadeGroup {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            // Why the launch failed is what matters.
            let _ = group.clear();
        }
    }
}

fn failed(error: &warren_cgroups::Error) -> Error {
    Error::new(ErrorKind::Step, error.to_string()).hints_of(reasons::of_group(error))
}
