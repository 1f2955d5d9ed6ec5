//! Stopping all processes of a group, and letting them go on.

use std::time::{Duration, Instant};

use rustix::io::Errno;
use warren_namespaces::ProcRoot;

use crate::delegation::own_memberships;
use crate::group::Tier;
use crate::{Cgroup, Error};

/// How long a group may take to freeze: a process in the kernel stops when it comes back.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the processes of a group run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frozen {
    /// They run.
    No,
    /// They are being stopped.
    Partly,
    /// They are stopped.
    Yes,
}

impl Cgroup {
    /// Stops all processes in it and below it, and waits until they are.
    ///
    /// # Errors
    /// `EOPNOTSUPP` where it is in no hierarchy that can (v2, or v1's freezer); `ETIMEDOUT`
    /// where some do not stop, all go on then.
    pub fn freeze(&self) -> Result<(), Error> {
        let tier = self.freezer()?;
        let since = Instant::now();
        loop {
            // v1 forgets the wish where a process was forked meanwhile.
            tier.write_state(true)?;
            if tier.frozen() == Frozen::Yes {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                tier.write_state(false)?;
                let path = tier.path();
                return Err(Error::new(
                    "freeze",
                    path.to_string_lossy(),
                    Errno::TIMEDOUT,
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// As [`Self::freeze`].
    pub fn thaw(&self) -> Result<(), Error> {
        self.freezer()?.write_state(false)
    }

    /// Whether they are stopped; they are not where nothing can stop them.
    #[must_use]
    pub fn frozen(&self) -> Frozen {
        let tier = self.v1_freezer().or_else(|| self.v2());
        tier.map_or(Frozen::No, Tier::frozen)
    }

    /// Whether the caller itself would be stopped: it is in the group, or below it.
    ///
    /// # Errors
    /// Where the caller's own groups cannot be read.
    pub fn shares_freezer(&self) -> Result<bool, Error> {
        let Ok(tier) = self.freezer() else {
            return Ok(false);
        };
        let own = own_memberships(&ProcRoot::open()?)?;
        let own = own.iter().find(|own| tier.hierarchy.matches(own));
        let below = own.and_then(|own| tier.hierarchy.below(&own.path));
        Ok(below.is_some_and(|own| own.starts_with(&tier.below)))
    }

    /// Of v2 it is no controller, and need not be asked for.
    fn v1_freezer(&self) -> Option<&Tier> {
        let mut v1 = self.tiers.iter().filter(|tier| !tier.hierarchy.is_v2());
        v1.find(|tier| tier.has("freezer"))
    }

    fn freezer(&self) -> Result<&Tier, Error> {
        // The root of v2 has no such file.
        let v2 = self
            .v2()
            .filter(|tier| tier.read("cgroup.freeze").is_some());
        self.v1_freezer().or(v2).ok_or_else(|| {
            Error::told(
                "freeze: the group is in no hierarchy that can",
                Errno::OPNOTSUPP,
            )
        })
    }
}

impl Tier {
    fn write_state(&self, frozen: bool) -> Result<(), Error> {
        match (self.hierarchy.is_v2(), frozen) {
            (true, frozen) => self.write("cgroup.freeze", if frozen { "1" } else { "0" }),
            (false, true) => self.write("freezer.state", "FROZEN"),
            (false, false) => self.write("freezer.state", "THAWED"),
        }
    }

    fn frozen(&self) -> Frozen {
        if !self.hierarchy.is_v2() {
            let state = self.value("freezer.state").unwrap_or_default();
            return match state.trim() {
                "FROZEN" => Frozen::Yes,
                "FREEZING" => Frozen::Partly,
                _ => Frozen::No,
            };
        }
        // The root of v2 has no such file.
        let Some(wanted) = self.number("cgroup.freeze") else {
            return Frozen::No;
        };
        let wanted = wanted == 1;
        let events = self.value("cgroup.events").unwrap_or_default();
        match (wanted, crate::usage::field(&events, "frozen") == Some(1)) {
            (_, true) => Frozen::Yes,
            (true, false) => Frozen::Partly,
            (false, false) => Frozen::No,
        }
    }
}
