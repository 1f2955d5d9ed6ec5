//! Random profiles from a fixed seed.

use warren_confine::seccomp::Architecture;
use warren_confine::seccomp::oci::{Arg, Seccomp, Syscall};
use warren_confine::seccomp::table::Call;

/// splitmix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn action(&mut self) -> (String, Option<u32>) {
        let all = [
            "ALLOW",
            "ERRNO",
            "TRACE",
            "LOG",
            "TRAP",
            "KILL",
            "KILL_PROCESS",
        ];
        let name = self.pick(&all);
        let number = ["ERRNO", "TRACE"].contains(&name) && self.below(2) == 0;
        let number = number.then(|| self.below(4096) as u32);
        (format!("SCMP_ACT_{name}"), number)
    }

    fn value(&mut self) -> u64 {
        let shift = self.below(64);
        match self.below(4) {
            0 => self.below(4) as u64,
            1 => self.next() >> shift,
            2 => 1 << shift,
            _ => self.pick(&[0xffff_ffff, 1 << 32, u64::MAX, 1 << 31, 1 << 63]),
        }
    }

    fn name(&mut self, names: &[&'static str]) -> String {
        self.pick(names).to_owned()
    }

    /// Conditions on one to three different arguments.
    fn args(&mut self, ops: &[&str]) -> Vec<Arg> {
        let mut indexes: Vec<usize> = (0..6).collect();
        let count = 1 + self.below(3);
        (0..count)
            .map(|_| {
                let place = self.below(indexes.len());
                Arg {
                    index: indexes.remove(place) as u32,
                    value: self.value(),
                    value_two: self.value(),
                    op: format!("SCMP_CMP_{}", self.pick(ops)),
                }
            })
            .collect()
    }

    /// A profile that libseccomp is right about. It is not where one of several rules on
    /// a call has an inequality; nor, with several architectures, about rules with
    /// conditions beside one on a call that an architecture lacks (it adds rules again
    /// then, with values already cut to 32 bits). So half of the profiles have only calls
    /// that exist everywhere, and the others no conditions.
    pub fn profile(&mut self) -> Seccomp {
        let everywhere = self.below(2) == 0;
        let known = Call::all().filter(|call| !is_newer(call.name()));
        let known = known.filter(|call| !everywhere || is_everywhere(*call));
        let mut names: Vec<_> = known.map(Call::name).collect();
        let mut alone: Vec<_> = names
            .iter()
            .copied()
            .filter(|name| *name != "ioctl" && Call::find(name).is_some_and(is_plain))
            .collect();
        let (default, errno) = self.action();
        let mut syscalls = Vec::new();
        for _ in 0..1 + self.below(40) {
            let (action, errno_ret) = self.action();
            let mut syscall = Syscall {
                names: Vec::new(),
                action,
                errno_ret,
                args: Vec::new(),
            };
            match self.below(4) {
                // Calls with this one rule with conditions of every kind.
                0 | 1 if everywhere => {
                    let place = self.below(alone.len());
                    syscall.names = vec![alone.swap_remove(place).to_owned()];
                    let ops = ["EQ", "MASKED_EQ", "NE", "LT", "LE", "GE", "GT"];
                    syscall.args = self.args(&ops);
                    syscalls.push(syscall);
                }
                // One with several rules.
                2 if everywhere => {
                    let place = self.below(alone.len());
                    syscall.names = vec![alone.swap_remove(place).to_owned()];
                    for rule in 0..2 + self.below(3) {
                        (syscall.action, syscall.errno_ret) = self.action();
                        syscall.args = self.args(&["EQ"]);
                        // libseccomp refuses the same conditions twice.
                        syscall.args[0].value &= !0xff;
                        syscall.args[0].value |= rule as u64;
                        syscalls.push(syscall.clone());
                    }
                }
                // Calls without.
                _ => {
                    let count = 1 + self.below(60);
                    syscall.names = (0..count).map(|_| self.name(&names)).collect();
                    // libseccomp refuses two rules on what i386 multiplexes.
                    names.retain(|name| {
                        !is_multiplexed(name)
                            || !syscall.names.iter().any(|one| one == name)
                    });
                    syscalls.push(syscall);
                }
            }
        }
        let all = [
            "SCMP_ARCH_X86",
            "SCMP_ARCH_X32",
            "SCMP_ARCH_AARCH64",
            "SCMP_ARCH_ARM",
        ];
        let architectures = all.into_iter().filter(|_| self.below(2) == 0);
        let architectures = architectures.map(str::to_owned).collect();
        let json = format!(r#"{{"defaultAction": "{default}"}}"#);
        let plain = Seccomp::parse(&json).expect("a minimal profile");
        Seccomp {
            default_errno_ret: errno,
            architectures,
            syscalls,
            ..plain
        }
    }
}

fn is_everywhere(call: Call) -> bool {
    let has = |architecture| call.number(architecture).is_some();
    Architecture::ALL.into_iter().all(has)
}

/// Not one of those that share a number on i386.
fn is_plain(call: Call) -> bool {
    call.multiplexed().is_none() && is_everywhere(call)
}

fn is_multiplexed(name: &str) -> bool {
    Call::find(name).is_some_and(|call| call.multiplexed().is_some())
}

/// Names that the libseccomp of some Debian does not have.
fn is_newer(name: &str) -> bool {
    let number = Call::find(name).and_then(|call| call.number(Architecture::Aarch64));
    ["map_shadow_stack", "sync_file_range2", "uretprobe"].contains(&name)
        || number.is_some_and(|number| (451..).contains(&number))
}
