//! The second wall of a plan: from what is mounted to rules of Landlock.

use warren_confine::landlock::Files;

use super::Planner;
use super::program::c_string;
use crate::error::Error;
use crate::step::{Place, Step};

impl Planner<'_> {
    /// In the child as late as possible, so that what cannot be opened by the program's own
    /// user needs no rule.
    pub(super) fn landlock(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        let Some(wanted) = &spec.landlock else {
            return Ok(());
        };
        let has = self.host.landlock();
        wanted.check(has).map_err(|error| {
            Error::spec(format!("confine by Landlock: {error}")).hint(error.way_out())
        })?;
        let handled = wanted.handled(has);
        if handled.is_nothing() {
            return Ok(());
        }
        self.push(Step::Ruleset(handled));
        if !handled.files.is_empty() {
            self.allow_files(handled.files)?;
        }
        if let Some(ports) = &wanted.ports {
            for (port, rights) in ports.rules() {
                self.push(Step::AllowPort { port, rights });
            }
        }
        self.push(Step::RestrictSelf);
        Ok(())
    }

    fn allow_files(&mut self, handled: Files) -> Result<(), Error> {
        for shown in self.spec.shown() {
            let rights = shown.rights() & handled;
            if !rights.is_empty() {
                let place = Place::Path(c_string(shown.target.as_os_str())?);
                self.push(Step::Allow { place, rights });
            }
        }
        if let Some(program) = &self.spec.program {
            let rights = Files::READ | Files::EXECUTE;
            let place = Place::Open(program.clone());
            self.push(Step::Allow { place, rights });
        }
        self.push(Step::AllowStreams(handled));
        Ok(())
    }
}
