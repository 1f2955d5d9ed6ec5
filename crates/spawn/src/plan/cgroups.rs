//! The control groups that a container sees.

use std::ffi::CString;
use std::path::Path;

use warren_cgroups::{Hierarchies, Hierarchy, Layout};
use warren_mounts::Target;
use warren_namespaces::{Kind, ProcRoot};

use super::Planner;
use super::program::{c_string, own_text};
use crate::error::{Error, ErrorKind};
use crate::spec::DetailedMount;
use crate::step::{CgroupFolder, CgroupTree, Step};

impl Planner<'_> {
    /// On v2 one mount; on v1 a folder of one for each hierarchy, as the host has it.
    pub(super) fn cgroups(
        &mut self,
        mount: &DetailedMount,
        target: Target,
    ) -> Result<(), Error> {
        let all = self.hierarchies()?;
        let folders = match all.layout() {
            Layout::None => {
                return Err(Error::spec(format!(
                    "mount the control groups at {target}: this host has none mounted"
                )));
            }
            Layout::V2 => Vec::new(),
            Layout::V1 | Layout::Hybrid => all
                .list
                .iter()
                .filter(|hierarchy| !hierarchy.is_v2())
                .map(folder)
                .collect::<Result<Vec<_>, _>>()?,
        };
        let v2 = all.v2().map(|hierarchy| {
            let path = hierarchy.mount_point.as_os_str();
            c_string(path)
        });
        let tree = CgroupTree {
            folders,
            v2: v2.transpose()?.unwrap_or_default(),
            own: self.is_new(Kind::Cgroup),
            attributes: mount.flags.set,
        };
        let tree = Box::new(tree);
        self.await_group();
        self.push(Step::Cgroups { tree, target });
        Ok(())
    }

    fn hierarchies(&self) -> Result<Hierarchies, Error> {
        if let Some(ground) = &self.host.ground {
            return Ok(ground.hierarchies());
        }
        let failed = |error: &dyn std::fmt::Display| {
            let words = format!("look at the control groups: {error}");
            Error::new(ErrorKind::Step, words)
        };
        let proc = ProcRoot::open().map_err(|error| failed(&error))?;
        Hierarchies::detect(&proc).map_err(|error| failed(&error))
    }
}

fn folder(hierarchy: &Hierarchy) -> Result<CgroupFolder, Error> {
    let options = hierarchy.controllers.join(",");
    // The name that the host uses, under which programs look for it.
    let name = hierarchy.mount_point.file_name();
    let name = name.map_or_else(|| options.clone().into(), |name| name.to_owned());
    let others = hierarchy.controllers.iter();
    let others = others.filter(|one| Path::new(one) != Path::new(&name));
    let links: Vec<CString> = match hierarchy.controllers.len() {
        0 | 1 => Vec::new(),
        _ => others.map(|one| own_text(one)).collect(),
    };
    Ok(CgroupFolder {
        name: c_string(&name)?,
        options: own_text(&options),
        mount_point: c_string(hierarchy.mount_point.as_os_str())?,
        links,
    })
}
