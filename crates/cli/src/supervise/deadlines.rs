//! How long a command may take, and what ends it then.

use std::time::{Duration, Instant};

use warren_namespaces::{ProcRoot, cpu_time_of_tree};
use warren_spawn::Child;
use warren_sys::signal::{SIGCONT, SIGKILL, SIGTERM};

use super::send;

/// How long a command that was asked to end may go on.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long a command may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// From its start to its end, and the signal that asks it to end.
    pub wall: Option<(Duration, i32)>,
    /// On processors, all its processes together.
    pub cpu: Option<Duration>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Wall,
    Cpu,
}

/// The limits of a command that runs.
pub struct Deadlines {
    limits: TimeLimits,
    began: Instant,
    /// When the processor time is looked at next.
    look_at: Option<Instant>,
    /// Since when the command has been asked to end.
    asked: Option<Instant>,
    over: Option<Over>,
    killed: bool,
}

impl Deadlines {
    /// They count from now.
    pub fn new(limits: &TimeLimits) -> Self {
        let began = Instant::now();
        Self {
            limits: *limits,
            began,
            look_at: limits.cpu.map(|most| began + pause(most)),
            asked: None,
            over: None,
            killed: false,
        }
    }

    /// How long the command has run.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Which limit it has reached.
    pub fn over(&self) -> Option<Over> {
        self.over
    }

    /// How long nothing is to be done; `None` for ever.
    pub fn pause(&self) -> Option<Duration> {
        let next = match self.asked {
            _ if self.killed => None,
            Some(asked) => Some(asked + GRACE),
            None => [self.end_at(), self.look_at].into_iter().flatten().min(),
        };
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn end_at(&self) -> Option<Instant> {
        // Beyond what the clock can count, there is no limit.
        self.limits
            .wall
            .and_then(|(most, _)| self.began.checked_add(most))
    }

    /// Does what is due.
    pub fn look(&mut self, child: &Child) {
        let now = Instant::now();
        if let Some(asked) = self.asked {
            if !self.killed && now >= asked + GRACE {
                self.kill(child);
            }
            return;
        }
        if let Some((_, signal)) = self.limits.wall
            && self.end_at().is_some_and(|at| now >= at)
        {
            return self.end(child, Over::Wall, signal);
        }
        if let Some(most) = self.limits.cpu
            && self.look_at.is_some_and(|at| now >= at)
        {
            self.look_at_cpu(child, most);
        }
    }

    fn look_at_cpu(&mut self, child: &Child, most: Duration) {
        let proc = ProcRoot::open().ok();
        let used = proc.map(|proc| cpu_time_of_tree(&proc, child.id()));
        self.look_at = match used {
            Some(Ok(used)) if used >= most => {
                return self.end(child, Over::Cpu, SIGTERM);
            }
            Some(Ok(used)) => Some(Instant::now() + pause(most - used)),
            // The limit of each process is left.
            _ => None,
        };
    }

    /// Asks it to end; a stopped one has to go on for that.
    fn end(&mut self, child: &Child, over: Over, signal: i32) {
        self.over = Some(over);
        self.asked = Some(Instant::now());
        if signal == SIGKILL {
            return self.kill(child);
        }
        send(child, signal);
        send(child, SIGCONT);
    }

    /// Through its init, which takes all that is left along.
    fn kill(&mut self, child: &Child) {
        self.killed = true;
        send(child, SIGKILL);
    }
}

/// How long the rest lasts at least: it cannot be used up faster than all processors
/// together use it. Of those there may be more than the caller itself may use.
fn pause(rest: Duration) -> Duration {
    const LEAST: Duration = Duration::from_millis(20);
    const MOST: Duration = Duration::from_secs(1);
    let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
    let processors = u32::try_from(processors).unwrap_or(u32::MAX);
    (rest / processors).clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_limits_nothing_is_ever_due() {
        let deadlines = Deadlines::new(&TimeLimits::default());
        assert_eq!(deadlines.pause(), None);
    }

    #[test]
    fn the_next_thing_that_is_due_is_waited_for() {
        let minute = Duration::from_secs(60);
        let limits = TimeLimits {
            wall: Some((minute, SIGTERM)),
            cpu: None,
        };
        let pause = Deadlines::new(&limits).pause().expect("a limit");
        assert!(pause <= minute && pause > minute - Duration::from_secs(10));
        let limits = TimeLimits {
            cpu: Some(Duration::from_millis(1)),
            ..limits
        };
        let pause = Deadlines::new(&limits).pause().expect("a limit");
        assert!(pause <= Duration::from_millis(20));
    }

    #[test]
    fn a_limit_beyond_the_clock_is_none() {
        let limits = TimeLimits {
            wall: Some((Duration::MAX, SIGTERM)),
            cpu: None,
        };
        assert_eq!(Deadlines::new(&limits).pause(), None);
    }
}
