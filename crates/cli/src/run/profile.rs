//! What a run begins with: profiles, before any other option.

use clap::Args;
use warren_spawn::Spec;

use super::root::RootOptions;
use crate::failure::Failure;
use crate::profile;

/// Which profiles there are.
#[derive(Debug, Args)]
pub struct ProfileOptions {
    /// Begin with what a profile gives, by its name or its file (with a slash in it); a
    /// later one goes on top, and all other options on top of that
    #[arg(long, value_name = "NAME|FILE", help_heading = "Profile")]
    pub profile: Vec<String>,
}

impl ProfileOptions {
    /// What they make of a run without options.
    pub fn apply(&self, base: Spec, root: &RootOptions) -> Result<Spec, Failure> {
        if self.profile.is_empty() {
            return Ok(base);
        }
        let mut loaded = profile::load(&self.profile)?;
        if root.is_given() {
            loaded.profile.files.root = None;
        }
        Ok(loaded.profile.apply(base, &profile::caller()?)?)
    }
}
