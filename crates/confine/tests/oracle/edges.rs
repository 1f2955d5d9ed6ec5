//! The calls that are put to both programs.

use std::collections::BTreeMap;

use warren_confine::seccomp::oci::Seccomp;
use warren_confine::seccomp::{Architecture, Newer};
use warren_sys::BpfInstruction;

use super::{Call, Random, interpret, numbers};

/// For each architecture and number, the values around those of its conditions.
pub struct Edges {
    arguments: BTreeMap<(u32, u32), [Vec<u64>; 6]>,
    /// Architectures that have rules.
    architectures: Vec<u32>,
}

/// Architectures of which the table knows nothing: MIPS, PowerPC, none.
const FOREIGN: [u32; 3] = [0x4000_0008, 0x8000_0015, 0];

impl Edges {
    pub fn of(profile: &Seccomp) -> Self {
        let mut arguments: BTreeMap<(u32, u32), [Vec<u64>; 6]> = BTreeMap::new();
        for architecture in Architecture::ALL {
            for syscall in &profile.syscalls {
                for number in numbers(syscall, architecture) {
                    let edges = arguments.entry((architecture.audit(), number));
                    let edges = edges.or_default();
                    for arg in &syscall.args {
                        let values = around(arg.value, arg.value_two);
                        edges[arg.index as usize].extend(values);
                    }
                    if architecture == Architecture::I386 && [102, 117].contains(&number)
                    {
                        edges[0].extend(0..=24);
                        edges[0].push(1 << 32 | 1);
                    }
                }
            }
        }
        for edges in arguments.values_mut().flatten() {
            edges.sort_unstable();
            edges.dedup();
        }
        let profile = profile.profile(Newer::Default).expect("a profile");
        let architectures = profile.architectures.into_iter();
        let architectures = architectures.chain([Architecture::NATIVE]);
        Self {
            arguments,
            architectures: architectures.map(Architecture::audit).collect(),
        }
    }

    /// Every number that can have a rule or a border.
    fn numbers() -> impl Iterator<Item = u32> {
        (0..=560)
            .chain([0x3fff_ffff, 0x7fff_ffff, 0xffff_fffe, u32::MAX])
            .chain(0x4000_0000..=0x4000_0230)
            .chain(0x000e_ffff..=0x000f_0008)
    }

    fn architectures() -> Vec<u32> {
        let mut all = Architecture::ALL.map(Architecture::audit).to_vec();
        all.dedup();
        all.extend(FOREIGN);
        all
    }

    fn arguments(
        &self,
        architecture: u32,
        number: u32,
        random: &mut Random,
    ) -> Vec<[u64; 6]> {
        let mut all = vec![[0; 6], [u64::MAX; 6]];
        let Some(edges) = self.arguments.get(&(architecture, number)) else {
            return all;
        };
        let combinations: usize = edges.iter().map(|one| one.len().max(1)).product();
        for _ in 0..(combinations * 2).min(100) {
            let pick = |edges: &Vec<u64>| match edges.len() {
                0 => random.next(),
                length => edges[random.below(length)],
            };
            all.push(edges.each_ref().map(pick));
        }
        all
    }

    /// Puts all calls to both programs.
    #[track_caller]
    pub fn assert_same(
        &self,
        ours: &[BpfInstruction],
        theirs: &[BpfInstruction],
        what: &str,
    ) {
        let mut random = Random(1);
        for architecture in Self::architectures() {
            // Of one without rules a number is as good as another.
            let few = match self.architectures.contains(&architecture) {
                true => usize::MAX,
                false => 9,
            };
            for number in Self::numbers().take(few) {
                for arguments in self.arguments(architecture, number, &mut random) {
                    let call = Call::new(architecture, number, &arguments);
                    let (ours, theirs) =
                        (interpret(ours, &call).0, interpret(theirs, &call).0);
                    assert_eq!(ours, theirs, "{what}: {ours:#x} {theirs:#x} {call:x?}");
                }
            }
        }
    }

    /// How many instructions a native call takes, on average and at most.
    pub fn steps(&self, program: &[BpfInstruction]) -> (f64, usize) {
        let steps = |number| {
            let native = Architecture::NATIVE.audit();
            interpret(program, &Call::new(native, number, &[])).1
        };
        let all: Vec<usize> = (0..=450).map(steps).collect();
        let sum: usize = all.iter().sum();
        let most = all.iter().max().copied().unwrap_or(0);
        (sum as f64 / all.len() as f64, most)
    }
}

/// What a wrong comparison would take for `value`, or for `two` under its mask.
fn around(value: u64, two: u64) -> impl Iterator<Item = u64> {
    const HIGH: u64 = 1 << 32;
    [value, two, two & value, two | !value]
        .into_iter()
        .flat_map(|one| {
            let near = [one.wrapping_sub(1), one, one.wrapping_add(1)];
            let halves = [
                one & (HIGH - 1),
                one ^ HIGH,
                one.wrapping_add(HIGH),
                one >> 32,
            ];
            near.into_iter().chain(halves)
        })
        .chain([0, u64::MAX])
}
