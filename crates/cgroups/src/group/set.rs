//! Setting limits, in a new group or in one that runs.

use rustix::io::Errno;

use crate::convert::weight_to_blkio;
use crate::devices::program;
use crate::group::{Cgroup, Tier};
use crate::limits::Most;
use crate::setting::{Action, Present, Refused, Setting, Settings, Why};
use crate::{Error, Limits, file, guard};

impl Cgroup {
    /// Changes limits: those that `limits` has, and no other.
    ///
    /// # Errors
    /// [`Error::limits`] says which cannot be had, before any was changed; else the file
    /// that could not be written, after those before it were.
    pub fn set(&self, limits: &Limits) -> Result<(), Error> {
        let settings = Settings::of(limits, &self.ground(), self.present());
        if !settings.refused.is_empty() {
            return Err(Error::refused(settings.refused));
        }
        self.check_memory(limits)?;
        if let Some(scope) = &self.scope {
            scope.set(limits)?;
        }
        let settings = settings.list.iter().map(|setting| (setting.tier, setting));
        self.apply(settings, false).map(drop)
    }

    fn present(&self) -> Present {
        let quota = self.v2().and_then(|tier| tier.read("cpu.max"));
        let quota_us = quota.and_then(|text| text.split(' ').next()?.parse().ok());
        let v1 = |tier: &&Tier| !tier.hierarchy.is_v2();
        let memory = self.with("memory").filter(v1);
        Present {
            quota_us,
            memory: memory.and_then(|tier| tier.number("memory.limit_in_bytes")),
        }
    }

    /// v2 kills where v1 says `EBUSY`.
    fn check_memory(&self, limits: &Limits) -> Result<(), Error> {
        let memory = &limits.memory;
        let Some(Most::Of(max)) = memory.max.filter(|_| memory.check_before_update)
        else {
            return Ok(());
        };
        let used = self.v2().and_then(|tier| tier.number("memory.current"));
        match used {
            Some(used) if used > max => {
                let words = format!("{used} bytes are used already");
                Err(Error::refused(vec![Refused {
                    limit: "memory.max".to_owned(),
                    why: Why::Other(words),
                }]))
            }
            _ => Ok(()),
        }
    }

    /// Makes settings, each in the tier of that number. What the kernel has not is noted
    /// where that is accepted, else an error.
    pub(crate) fn apply<'a>(
        &self,
        settings: impl Iterator<Item = (usize, &'a Setting)>,
        best_effort: bool,
    ) -> Result<Vec<Refused>, Error> {
        let mut refused = Vec::new();
        let mut later = Vec::new();
        for (number, setting) in settings {
            let Some(tier) = self.tiers.get(number) else {
                continue;
            };
            match tier.make_setting(setting) {
                Ok(()) => {}
                Err(Errno::INVAL) if setting.hangs_on_the_next() => {
                    later.push((tier, setting));
                }
                Err(errno) => {
                    self.failed(tier, setting, errno, best_effort, &mut refused)?;
                }
            }
        }
        for (tier, setting) in later {
            if let Err(errno) = tier.make_setting(setting) {
                self.failed(tier, setting, errno, best_effort, &mut refused)?;
            }
        }
        Ok(refused)
    }

    fn failed(
        &self,
        tier: &Tier,
        setting: &Setting,
        errno: Errno,
        best_effort: bool,
        refused: &mut Vec<Refused>,
    ) -> Result<(), Error> {
        let why = why(tier, setting, errno);
        let is_lack = matches!(
            errno,
            Errno::NOENT | Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS | Errno::ROFS
        );
        let this = Refused {
            limit: setting.limit.clone(),
            why: Why::Other(why),
        };
        if best_effort && is_lack {
            refused.push(this);
            return Ok(());
        }
        if is_lack {
            return Err(Error::refused(vec![this]));
        }
        Err(Error::told(format!("limit {this}"), errno))
    }
}

impl Setting {
    /// Whether the kernel looks at it together with one that is set after it, and may take
    /// it only then. v1: memory is never more than memory and swap, nor a time of the
    /// processor more than its period, whichever is changed.
    fn hangs_on_the_next(&self) -> bool {
        let hang = [
            "memory.limit_in_bytes",
            "cpu.cfs_period_us",
            "cpu.rt_period_us",
        ];
        let hangs = |file: &str| hang.contains(&file);
        matches!(&self.action, Action::Write { file, .. } if hangs(file))
    }
}

impl Tier {
    fn make_setting(&self, setting: &Setting) -> Result<(), Errno> {
        match &setting.action {
            Action::Guard(rules) => guard::attach(&self.folder, &program::compile(rules)),
            Action::Write { file, value } => {
                let written = file::write(&self.folder, file, value);
                match (written, other_scheduler(file, value)) {
                    (Err(Errno::NOENT), Some((file, value))) => {
                        file::write(&self.folder, file, &value)
                    }
                    (written, _) => written,
                }
            }
        }
    }
}

/// Which file has the weight of a device depends on the scheduler that the kernel has.
fn other_scheduler(file: &str, value: &str) -> Option<(&'static str, String)> {
    match file {
        "io.weight" => {
            let (of, weight) = value.split_once(' ')?;
            let weight = weight_to_blkio(weight.parse().ok()?);
            Some(("io.bfq.weight", format!("{of} {weight}")))
        }
        "blkio.bfq.weight" => Some(("blkio.weight", value.to_owned())),
        "blkio.bfq.weight_device" => Some(("blkio.weight_device", value.to_owned())),
        _ => None,
    }
}

/// Why the kernel refuses a setting, in words.
fn why(tier: &Tier, setting: &Setting, errno: Errno) -> String {
    let Action::Write { file, value } = &setting.action else {
        return match errno {
            Errno::PERM => {
                "a program for it needs CAP_BPF and CAP_NET_ADMIN on the machine"
                    .to_owned()
            }
            errno => warren_namespaces::errno_text(errno),
        };
    };
    let path = tier.path().join(file);
    let path = path.display();
    match errno {
        Errno::NOENT => format!("this kernel has no {file}"),
        Errno::NODEV => {
            format!("{value}: no whole disk that can be limited has these numbers")
        }
        Errno::INVAL | Errno::RANGE => {
            format!("the kernel does not take '{value}' for {path}")
        }
        Errno::BUSY => format!("'{value}' is below what is used already ({path})"),
        errno => format!("write {path}: {}", warren_namespaces::errno_text(errno)),
    }
}
