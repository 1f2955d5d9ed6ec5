//! The ends of a plan that executes nothing.

use std::path::Path;

use warren_mounts::Target;
use warren_namespaces::Kind;

use super::{Planner, mounts};
use crate::error::Error;
use crate::role::{Change, Graft};
use crate::spec::{Access, Join};
use crate::step::Step;

impl Planner<'_> {
    /// The last steps of a holder, after all that is done for a program.
    pub(super) fn hold(&mut self, examinable: bool) {
        // A joined user namespace clears it.
        self.die_with_parent();
        self.push(Step::HideHolder { examinable });
        self.push(Step::Hold);
    }

    /// All steps of a grafter: what only the caller may do, then the rest as the root of
    /// the user namespace that owns the mounts.
    pub(super) fn graft(&mut self, graft: &Graft) -> Result<(), Error> {
        let target = mounts::target(&graft.target)?;
        let change = self.change(graft, target)?;
        self.open_namespaces();
        self.before_graft(&graft.change);
        self.push(Step::Clone {
            namespaces: self.spec.namespaces.created(),
        });
        self.push(Step::Hide);
        self.join()?;
        self.push(Step::RootHere);
        self.push(change);
        self.push(Step::Finish);
        Ok(())
    }

    fn change(&self, graft: &Graft, target: Target) -> Result<Step, Error> {
        Ok(match &graft.change {
            Change::Unmount => Step::Unmount { target },
            Change::Mount { source, make, .. } => Step::Graft {
                source: source.clone(),
                node: mounts::node(&source.clone().into())?,
                target,
                make: *make,
            },
        })
    }

    fn before_graft(&mut self, change: &Change) {
        let Change::Mount {
            source,
            access,
            recursive,
            ids,
            ..
        } = change
        else {
            return;
        };
        self.clone_tree(source, *access, *recursive);
        let Some(ids) = ids else { return };
        let is_open = |step: &&Step| matches!(step, Step::OpenNamespace { .. });
        let namespace = self.steps.iter().filter(is_open).count();
        let (kind, from) = (Kind::User, Join::Open(ids.clone()));
        self.push(Step::OpenNamespace { kind, from });
        self.push(Step::ShiftIdsTo {
            tree: 0,
            path: source.clone(),
            namespace,
            name: ids.name.clone(),
            recursive: true,
        });
    }

    fn clone_tree(&mut self, path: &Path, access: Access, recursive: bool) {
        self.push(Step::CloneTree {
            tree: path.into(),
            access,
            devices: false,
            recursive,
        });
    }
}
