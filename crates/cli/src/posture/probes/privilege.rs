//! What a program may do, and what it may come to.

use std::fs;

use warren_confine::CapabilitySet;
use warren_sys::{clone_user_namespace, clone3_user_namespace, setns, unshare};

use super::super::outside::Outside;
use super::super::probe::{Finding, Probe};

const CLONE_NEWUSER: u64 = 0x1000_0000;
const CLONE_NEWUTS: u64 = 0x0400_0000;

const NESTED: &str = "the filter of every run refuses it, and user.max_user_namespaces is 0 \
                      in its user namespace; no option of `warren run` opens it";

pub const PROBES: &[Probe] = &[
    Probe {
        name: "no_new_privs",
        about: "privilege",
        tries: "could gain privilege by a set-user-id program",
        hint: "every run sets it; no option of `warren run` leaves it out",
        cve: None,
        run: |_| match field("NoNewPrivs:").as_deref() {
            Some("1") => Finding::holds("set"),
            Some(_) => Finding::open("set-user-id programs work"),
            None => no_status(),
        },
    },
    Probe {
        name: "capabilities",
        about: "privilege",
        tries: "looks for capabilities in each set, the bounding set too",
        hint: "--cap-add, or a profile, gives them over the run's own namespaces",
        cve: None,
        run: |_| capabilities(),
    },
    Probe {
        name: "seccomp",
        about: "privilege",
        tries: "could make every system call",
        hint: "every run has a filter; no option of `warren run` leaves it out",
        cve: None,
        run: |_| match field("Seccomp:").as_deref() {
            Some("2") => Finding::holds("a filter"),
            Some(_) => Finding::open("no filter"),
            None => no_status(),
        },
    },
    Probe {
        name: "root of the host",
        about: "privilege",
        tries: "has an id in it that is the host's user 0",
        hint: "--map, or --share user, of root does: --map auto gives ids that nobody has",
        cve: None,
        run: root_of_the_host,
    },
    Probe {
        name: "user namespace, unshare",
        about: "privilege",
        tries: "makes a user namespace, in which it would have every capability, by \
                unshare(2)",
        hint: NESTED,
        cve: None,
        run: |_| nested(unshare(CLONE_NEWUSER)),
    },
    Probe {
        name: "user namespace, clone",
        about: "privilege",
        tries: "the same by clone(2)",
        hint: NESTED,
        cve: None,
        run: |_| nested(clone_user_namespace()),
    },
    Probe {
        name: "user namespace, clone3",
        about: "privilege",
        tries: "the same by clone3(2), whose flags a filter cannot see",
        hint: NESTED,
        cve: Some("CVE-2021-41133"),
        run: |_| nested(clone3_user_namespace()),
    },
    Probe {
        name: "setns",
        about: "privilege",
        tries: "enters a namespace by a descriptor",
        hint: "--cap-add SYS_ADMIN lets it",
        cve: None,
        run: |_| entered(),
    },
];

fn nested(result: warren_sys::Result<()>) -> Finding {
    match result {
        // user.max_user_namespaces is used up.
        Err(errno @ warren_sys::Errno::NOSPC) => {
            Finding::holds(warren_namespaces::errno_text(errno))
        }
        result => Finding::of_call(result, "made"),
    }
}

fn entered() -> Finding {
    match fs::File::open("/proc/self/ns/uts") {
        Ok(file) => {
            let result = setns(std::os::fd::AsFd::as_fd(&file), CLONE_NEWUTS);
            Finding::of_call(result, "it may")
        }
        Err(error) => Finding::unknown(format!("/proc/self/ns/uts: {error}")),
    }
}

fn capabilities() -> Finding {
    let mut found = Vec::new();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        let Some(bits) = field(set).and_then(|text| u64::from_str_radix(&text, 16).ok())
        else {
            return no_status();
        };
        if bits != 0 {
            let names = CapabilitySet::from_bits(bits);
            found.push(format!("{set} {names}"));
        }
    }
    // Mostly all sets are alike.
    match found.as_slice() {
        [] => Finding::holds("none in any set"),
        [first, ..] => Finding::open(match found.len() {
            1 => first.clone(),
            more => format!("{first}, and {} more sets", more - 1),
        }),
    }
}

fn root_of_the_host(outside: &Outside) -> Finding {
    let Ok(map) = fs::read_to_string("/proc/self/uid_map") else {
        return Finding::unknown("/proc/self/uid_map cannot be read");
    };
    if !outside.is_root {
        return Finding::holds("the caller is not root");
    }
    let from_zero = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), [inside, "0", _] if !inside.is_empty())
    };
    match map.lines().find(|line| from_zero(line)) {
        Some(line) => Finding::open(format!(
            "as user {} inside",
            line.split_whitespace().next().unwrap_or_default()
        )),
        None => Finding::holds("no id is"),
    }
}

/// A field of the status of the calling process.
fn field(key: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim().to_owned())
}

fn no_status() -> Finding {
    Finding::unknown("/proc/self/status cannot be read")
}
