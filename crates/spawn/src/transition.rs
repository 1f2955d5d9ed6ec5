//! A process that changes itself and becomes a program: unshare(2) and setns(2) in the
//! calling process, then execve(2).
//!
//! [`Transition`] says what is wanted, [`Plan`] lists the steps, and
//! [`Plan::replace_caller`] carries them out. Number, parent, session and descriptors of
//! the process stay what they were; it forks only where it is told to. That is what
//! unshare(1) and nsenter(1) do, and why a [`Spec`](crate::Spec), whose program is always
//! a new process, cannot stand in for them.
//!
//! Nothing here runs beside other threads: a transition that forks looks first whether
//! there are any.

mod by_id;
mod exec;
mod helper;
mod plan;
mod reasons;
mod spec;
mod step;
mod wait;
mod walk;

use std::process::ExitStatus;

use warren_sys::Errno;

pub use helper::link_name;
pub use plan::{BINFMT, Caller, Plan};
pub use spec::{
    Clock, Create, Enter, Environment, Fork, Identity, Map, Pin, Place, Propagation,
    Relay, SetGroups, Source, Target, Transition,
};
pub use step::{MapFile, Side, Step};

/// What became of a transition whose process is still here.
#[derive(Debug)]
pub enum Outcome {
    /// It forked, and its program has ended.
    Ended(ExitStatus),
    /// A step failed: in the caller, or after the fork in the process that was to become
    /// the program, where the value is to be told as well.
    Failed(Failed),
}

/// The step that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which.
    pub step: Step,
    /// The errno, where one is known.
    pub errno: Option<Errno>,
    /// The exit code of a program that was to help, and has said why it could not.
    pub said: Option<i32>,
    /// Why, and the way out: one sentence each.
    pub hints: Vec<String>,
}

impl Plan {
    /// Carries the plan out in the calling process, which becomes the program.
    ///
    /// It returns where that failed, or where the program was a child and has ended. After
    /// a failure the process is what the steps before have made of it: all that is left
    /// to do is to end.
    #[must_use]
    pub fn replace_caller(self) -> Outcome {
        walk::walk(&self)
    }
}

impl Failed {
    fn new(plan: &Plan, step: &Step, errno: Errno) -> Self {
        Self {
            step: step.clone(),
            errno: Some(errno),
            said: None,
            hints: reasons::of(step, errno, plan),
        }
    }

    fn said(step: &Step, code: i32) -> Self {
        Self {
            step: step.clone(),
            errno: None,
            said: Some(code),
            hints: reasons::of_helper(step),
        }
    }
}
