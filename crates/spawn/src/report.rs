//! What the child tells the parent: one record on a page that both see.
//!
//! The record says which step runs, so that even a child that was killed without a
//! word died at a known step; and it takes the program's exact wait status, which an
//! init's exit code alone cannot carry. A pipe beside it carries nothing: its end says
//! that the program was executed or that nobody is left to do so.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use warren_sys::{Errno, Zeroed};

/// The steps whose times are kept; a plan with more is timed up to here.
const TIMED: usize = 500;

/// The shared record. All zero at the start.
#[derive(Debug)]
pub struct Report {
    /// The number of the step that runs.
    step: AtomicU32,
    /// The errno of that step, if it failed.
    errno: AtomicI32,
    /// What else is known of the failure: a [`Detail`].
    detail: AtomicU32,
    /// The futex on which the child waits: 1 when the parent's part is done.
    released: AtomicU32,
    /// The futex of a second wait: 1 when it is in its control group.
    in_group: AtomicU32,
    /// The futex of the program's wait: 1 when its network is there.
    connected: AtomicU32,
    /// The futex of an init that has seen the program's end: [`COUNTABLE`] when nobody but
    /// it is left in its control group, [`COUNTED`] when the parent knows what that used.
    counted: AtomicU32,
    /// 1 when `status` is valid.
    ended: AtomicU32,
    /// The wait status of the program.
    status: AtomicI32,
    /// The pid of the process that went on in another's stead; 0 if none did.
    sibling: AtomicI32,
    /// The number of the filter's listener in the child, and one more; 0 before there is
    /// one.
    listener: AtomicI32,
    /// 1 when the parent has it.
    listener_taken: AtomicU32,
    /// 1 when times are wanted: reading the clock costs a system call the first time.
    timed: AtomicU32,
    /// Nanoseconds of the monotonic clock at which each step began.
    began: [AtomicU64; TIMED],
}

/// On the futex of the init's end: the use of its control group can be read.
pub const COUNTABLE: u32 = 1;
/// It was.
pub const COUNTED: u32 = 2;

// SAFETY: the type is made of atomics alone, of which zero is a value, and none of
// which needs dropping.
unsafe impl Zeroed for Report {}

/// What the child saw, beyond the errno, when it could not execute the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing more.
    None,
    /// The file is there: its interpreter is not.
    InterpreterMissing,
    /// The file is a folder.
    IsFolder,
    /// A hook ended otherwise than with 0: its wait status is the one of the report.
    HookEnded,
}

impl Detail {
    /// The one of this number.
    pub fn of(number: u32) -> Self {
        match number {
            1 => Self::InterpreterMissing,
            2 => Self::IsFolder,
            3 => Self::HookEnded,
            _ => Self::None,
        }
    }
}

impl Report {
    /// Notes that the step `number` begins.
    pub fn begin(&self, number: usize) {
        self.step.store(number as u32, Ordering::Relaxed);
        self.begin_of_parent(number);
    }

    /// Notes when a step of the parent begins, who needs no record of where it is.
    pub fn begin_of_parent(&self, number: usize) {
        if self.timed.load(Ordering::Relaxed) == 0 {
            return;
        }
        if let Some(time) = self.began.get(number) {
            time.store(now(), Ordering::Relaxed);
        }
    }

    /// Asks for the times of the steps.
    pub fn take_times(&self) {
        self.timed.store(1, Ordering::Relaxed);
    }

    /// Notes that the step which runs has failed.
    pub fn fail(&self, errno: Errno, detail: Detail) {
        self.detail.store(detail as u32, Ordering::Relaxed);
        self.errno.store(errno.raw_os_error(), Ordering::Release);
    }

    /// The step that runs or ran last.
    pub fn step(&self) -> usize {
        self.step.load(Ordering::Relaxed) as usize
    }

    /// Why it failed, if it did.
    pub fn failure(&self) -> Option<(Errno, Detail)> {
        let errno = self.errno.load(Ordering::Acquire);
        let detail = Detail::of(self.detail.load(Ordering::Relaxed));
        (errno != 0).then(|| (Errno::from_raw_os_error(errno), detail))
    }

    /// The futex of the child's wait.
    pub fn released(&self) -> &AtomicU32 {
        &self.released
    }

    /// The futex of the program's wait for its network.
    pub fn connected(&self) -> &AtomicU32 {
        &self.connected
    }

    /// The futex of the child's wait for its control group.
    pub fn in_group(&self) -> &AtomicU32 {
        &self.in_group
    }

    /// The futex of an init that stays until its control group was counted.
    pub fn counted(&self) -> &AtomicU32 {
        &self.counted
    }

    /// Tells the parent of the listener `fd`, and returns when that has it. Without a
    /// system call: the filter could stop each.
    ///
    /// # Errors
    /// `ETIMEDOUT` where it does not take it, some ten seconds later.
    pub fn hand_listener(&self, fd: i32) -> Result<(), Errno> {
        const LONGEST: u32 = 1 << 28;
        self.listener.store(fd + 1, Ordering::Release);
        for _ in 0..LONGEST {
            if self.listener_taken.load(Ordering::Acquire) == 1 {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        Err(Errno::TIMEDOUT)
    }

    /// The child's listener, once it has one.
    pub fn listener(&self) -> Option<i32> {
        match self.listener.load(Ordering::Acquire) {
            0 => None,
            fd => Some(fd - 1),
        }
    }

    /// Lets the child go on, which waits in [`hand_listener`](Self::hand_listener).
    pub fn listener_is_taken(&self) {
        self.listener_taken.store(1, Ordering::Release);
    }

    /// Notes how the program ended: a status as wait(2) gives it.
    pub fn end(&self, status: i32) {
        self.status.store(status, Ordering::Relaxed);
        self.ended.store(1, Ordering::Release);
    }

    /// How the program ended, if it has and the init lived to see it.
    pub fn ended(&self) -> Option<i32> {
        let ended = self.ended.load(Ordering::Acquire) == 1;
        ended.then(|| self.status.load(Ordering::Relaxed))
    }

    /// Notes which process goes on in the stead of the one that was made.
    pub fn replace_by(&self, pid: i32) {
        self.sibling.store(pid, Ordering::Release);
    }

    /// Which one does, if one does.
    pub fn replacement(&self) -> Option<i32> {
        let pid = self.sibling.load(Ordering::Acquire);
        (pid != 0).then_some(pid)
    }

    /// When the step `number` began, if it did and is kept.
    pub fn began(&self, number: usize) -> Option<Duration> {
        let nanoseconds = self.began.get(number)?.load(Ordering::Relaxed);
        (nanoseconds != 0).then(|| Duration::from_nanos(nanoseconds))
    }
}

/// Nanoseconds of the monotonic clock, which a new time namespace does not shift until
/// somebody asks for it.
fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How long one step of a launch took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The step, in words.
    pub step: String,
    /// Who did it.
    pub side: crate::Side,
    /// When it began, from the begin of the launch.
    pub at: Duration,
    /// How long it took, as far as the next step of the same side tells.
    pub took: Duration,
}
