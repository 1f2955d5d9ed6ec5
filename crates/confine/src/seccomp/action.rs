//! What a filter answers.

use serde::{Deserialize, Serialize};
use warren_sys::Errno;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The kernel carries it out.
    Allow,
    /// It returns this error and does nothing; 0 is success without doing anything.
    Fail(u16),
    /// The kernel carries it out and notes it in its log.
    Log,
    /// A supervisor answers it, through the descriptor of
    /// [`Filter::load_listener`](crate::seccomp::Filter::load_listener).
    Notify,
    /// A tracer is told, with this number; without one the call answers `ENOSYS`.
    Trace(u16),
    /// The thread gets `SIGSYS`.
    Trap,
    /// The thread dies, as by `SIGSYS`, and leaves the others where they were.
    KillThread,
    /// The whole process dies, as by `SIGSYS`.
    Kill,
}

impl Action {
    /// The largest errno that the kernel returns (`MAX_ERRNO`).
    pub const MAX_ERRNO: u16 = 4095;

    /// Refuses with `errno`.
    #[must_use]
    pub const fn fail(errno: Errno) -> Self {
        Self::Fail(errno.raw_os_error() as u16)
    }

    /// The program's return value: `SECCOMP_RET_*`.
    #[must_use]
    pub const fn code(self) -> u32 {
        match self {
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Fail(errno) if errno > Self::MAX_ERRNO => 0x0005_0fff,
            Self::Fail(errno) => 0x0005_0000 | errno as u32,
            Self::Trace(number) => 0x7ff0_0000 | number as u32,
            Self::Notify => 0x7fc0_0000,
            Self::Log => 0x7ffc_0000,
            Self::Allow => 0x7fff_0000,
            Self::Kill => 0x8000_0000,
        }
    }
}
