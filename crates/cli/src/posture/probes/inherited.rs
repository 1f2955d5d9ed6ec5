//! What a program has from who started it.

use std::fs;

use warren_namespaces::Kind;

use super::super::outside::Outside;
use super::super::probe::{Finding, Probe};
use super::processes::Stat;

pub const PROBES: &[Probe] = &[
    Probe {
        name: "descriptors",
        about: "inherited",
        tries: "looks for open descriptors above 2",
        hint: "--keep-fd N gives descriptor N",
        cve: None,
        run: |outside| Finding::none_of(&outside.descriptors, "0, 1 and 2"),
    },
    Probe {
        name: "environment",
        about: "inherited",
        tries: "looks for variables of the caller other than PATH, HOME, USER, TERM, LANG \
                and LC_*",
        hint: "--env K, or `pass` in the [process] of a profile, gives a variable",
        cve: None,
        run: environment,
    },
    Probe {
        name: "process group",
        about: "inherited",
        tries: "is in the caller's process group, which kill(0) reaches",
        hint: "a run that is started at a terminal stays in it: --tty gives another",
        cve: None,
        run: |outside| match Stat::own() {
            Some(stat) if stat.group == 0 => Finding::open("one outside"),
            Some(stat) if stat.group == outside.group => Finding::open("the caller's"),
            Some(_) => Finding::holds("its own"),
            None => Finding::unknown("/proc/self/stat cannot be read"),
        },
    },
    Probe {
        name: "namespaces",
        about: "inherited",
        tries: "looks for namespaces that are the caller's",
        hint: "--share KIND, or `mode = \"host\"` in the [network] of a profile, keeps one",
        cve: None,
        run: namespaces,
    },
];

fn environment(outside: &Outside) -> Finding {
    let names = std::env::vars_os().filter_map(|(key, _)| key.into_string().ok());
    let mut found: Vec<String> = names
        .filter(|key| outside.variables.contains(key))
        .collect();
    found.sort_unstable();
    Finding::none_of(&found, "nothing of the caller's")
}

fn namespaces(outside: &Outside) -> Finding {
    let mut kept = Vec::new();
    for kind in Kind::ALL {
        match is_callers(outside, kind) {
            Some(true) => kept.push(kind.name()),
            Some(false) => {}
            None => {
                return Finding::unknown(format!("/proc/self/ns/{kind} is not there"));
            }
        }
    }
    Finding::none_of(&kept, "all eight are new")
}

/// Whether a namespace is the one of who started the run; `None` where it is not seen.
pub fn is_callers(outside: &Outside, kind: Kind) -> Option<bool> {
    let own = namespace(kind)?;
    Some(outside.namespaces.contains(&own))
}

/// `net:[4026531840]` of the calling process.
pub fn namespace(kind: Kind) -> Option<String> {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    link.into_os_string().into_string().ok()
}
