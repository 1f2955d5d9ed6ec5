//! Why a call was refused, and which option would have let it pass.
//!
//! What is said must be so: an option is named only where it changes the answer. A call
//! that fails on the host as well, or that merely looked for a file, is no refusal.

mod by_capability;
mod by_filter;
mod by_network;
mod by_path;
mod refusal;

use std::path::Path;

use warren_confine::CapabilitySet;
use warren_confine::landlock::Landlock;
use warren_confine::seccomp::{Architecture, Rules};
use warren_namespaces::Kind;
use warren_spawn::{IdMapping, Namespace, Seccomp, Spec};

use crate::address::Address;
use crate::learn::Machine;
use crate::observed::Failure;
use crate::view::View;
use crate::wants::Wants;
pub use refusal::{Cure, Refusal};

/// What the machine says, besides what a [`Machine`] does, as the caller sees it.
pub trait Host: Machine {
    /// Whether something is at this path of the host, a symlink included.
    fn exists(&self, path: &Path) -> bool;
    /// Whether the caller itself could do this with a file of the host.
    fn may(&self, path: &Path, wants: Wants) -> bool;
    /// Whether somebody on the host listens at this address.
    fn listens(&self, address: &Address) -> bool;
}

/// Explains the failures of one run.
pub struct Auditor<'a> {
    view: View,
    capabilities: CapabilitySet,
    /// Whether the run has a network of its own.
    own_network: bool,
    /// Whether the run has a user namespace of its own.
    own_user: bool,
    /// Whether the caller is root of the machine.
    is_root: bool,
    /// Whether the run has more ids than one.
    has_ids: bool,
    /// The fixed filter.
    sandbox: Option<Rules>,
    /// The rules of a profile of the user's.
    profile: Option<Rules>,
    /// What Landlock is to hold.
    landlock: Option<Landlock>,
    /// Whether the ids inside are ones that own no file of the host.
    has_foreign_ids: bool,
    host: &'a dyn Host,
}

impl<'a> Auditor<'a> {
    /// For a run as `spec` says, on this machine and for this caller.
    #[must_use]
    pub fn new(spec: &Spec, is_root: bool, has_ids: bool, host: &'a dyn Host) -> Self {
        let is_new = |kind| *spec.namespaces.get(kind) == Namespace::New;
        let capabilities = spec.capabilities.unwrap_or(CapabilitySet::ALL);
        let sandbox = spec.seccomp == Seccomp::Sandbox;
        let profile = spec.syscalls.as_ref().and_then(|profile| {
            let rules = profile.rules().ok()?;
            let native = Architecture::NATIVE.audit();
            rules
                .into_iter()
                .find_map(|(audit, rules)| (audit == native).then_some(rules))
        });
        Self {
            view: View::of(spec),
            capabilities,
            own_network: is_new(Kind::Net),
            own_user: is_new(Kind::User),
            is_root,
            has_ids,
            sandbox: sandbox.then(|| Rules::sandbox(capabilities)),
            profile,
            landlock: spec.landlock.clone(),
            has_foreign_ids: is_root
                && is_new(Kind::User)
                && spec.id_map == IdMapping::Auto,
            host,
        }
    }

    /// Why a call was refused; `None` where it failed by itself.
    #[must_use]
    pub fn explain(&self, failure: &Failure) -> Option<Refusal> {
        if let Some(verdict) = self.by_filter(failure) {
            return verdict;
        }
        self.by_network(failure)
            .or_else(|| self.by_path(failure))
            .or_else(|| self.by_capability(failure))
    }

    /// Each refusal once, in the order in which they came.
    #[must_use]
    pub fn explain_all(&self, failures: &[Failure]) -> Vec<Refusal> {
        let mut refusals: Vec<Refusal> = Vec::new();
        for refusal in failures.iter().filter_map(|failure| self.explain(failure)) {
            if !refusals.iter().any(|known| known.says_the_same(&refusal)) {
                refusals.push(refusal);
            }
        }
        refusals
    }
}

#[cfg(test)]
mod tests;
