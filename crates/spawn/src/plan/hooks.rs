//! What happens between the setting up and the program: waits, and programs of others.

use warren_sys::CStringArray;

use super::Planner;
use super::program::c_string;
use crate::error::Error;
use crate::spec::{Hook, Root};
use crate::step::{HookProgram, Step};

impl Planner<'_> {
    /// While the host's files are still seen.
    pub(super) fn before_root(&mut self) -> Result<(), Error> {
        let spec = self.spec;
        if spec.await_before_root {
            self.push(Step::AwaitCaller);
        }
        let first = self.steps.len();
        self.hooks(&spec.hooks_before_root)?;
        for step in &mut self.steps[first..] {
            if let Step::Hook(hook) = step {
                hook.in_root = spec.root != Root::Inherit;
            }
        }
        Ok(())
    }

    /// When all else but the profile is done.
    pub(super) fn before_program(&mut self) {
        let spec = self.spec;
        if spec.outlives_caller && spec.parent_death_signal.is_some() {
            self.push(Step::OutliveCaller);
        }
        if let Some(gate) = &spec.gate {
            self.push(Step::CheckProgram);
            let program = spec.program.as_ref().map(|program| program.fd);
            let mut kept = vec![0, 1, 2, gate.fd];
            kept.extend(spec.keep_fds.iter().copied().chain(program));
            kept.sort_unstable();
            kept.dedup();
            let gate = gate.clone();
            self.push(Step::AwaitGate { gate, kept });
        }
    }

    pub(super) fn hooks(&mut self, hooks: &[Hook]) -> Result<(), Error> {
        for (number, hook) in hooks.iter().enumerate() {
            let step = Step::Hook(program(hook, number as u32)?);
            self.push(step);
        }
        Ok(())
    }
}

fn program(hook: &Hook, number: u32) -> Result<HookProgram, Error> {
    let path = c_string(hook.path.as_os_str())?;
    let words = |words: &[std::ffi::OsString]| {
        let words = words.iter().map(|word| c_string(word));
        words.collect::<Result<Vec<_>, _>>()
    };
    let mut arguments = words(&hook.args)?;
    if arguments.is_empty() {
        arguments.push(path.clone());
    }
    Ok(HookProgram {
        name: format!("{} hook #{number}: {}", hook.kind, hook.path.display()),
        number,
        path,
        arguments: CStringArray::new(arguments),
        environment: CStringArray::new(words(&hook.env)?),
        timeout: hook.timeout,
        in_root: false,
    })
}
