//! What is done for a process, for those who follow it with `--debug`.
//!
//! Where a step is one of runc's too, it is told in the words of runc's log, which people and
//! tests look for.

use std::fmt::Write;

use warren_confine::seccomp::LoadFlags;
use warren_namespaces::Kind;
use warren_spawn::{Namespace, Processors, Spec};

/// How the first process of a container ends its setting up.
pub(super) const MADE: &str = "init: closing the pipe to signal completion";

/// The same of a further one.
pub(super) const ENTERED: &str = "setns_init: about to exec";

/// What is done for a process with this Spec; nothing unless it is `followed`.
pub(super) fn told(spec: &Spec, followed: bool, end: &str) -> Vec<String> {
    if !followed {
        return Vec::new();
    }
    let mut told = vec![format!("nsexec container setup: {}", namespaces(spec))];
    if let Some(processors) = &spec.affinity.initial {
        told.push(format!("nsexec: affinity: {}", mask(processors)));
    }
    told.push("child process in init(): mounts, names and limits".to_owned());
    if spec.syscalls.is_some() {
        // With one thread there is nobody to whom TSYNC would bring it.
        let flags = spec.syscalls_flags & !LoadFlags::TSYNC.bits();
        told.push(format!("seccomp filter flags: {flags}"));
    }
    told.push(end.to_owned());
    told
}

/// `new mnt pid; joined net`.
fn namespaces(spec: &Spec) -> String {
    let (mut new, mut joined) = ("new".to_owned(), "joined".to_owned());
    for kind in Kind::ALL {
        let list = match spec.namespaces.get(kind) {
            Namespace::Inherit => continue,
            Namespace::New => &mut new,
            Namespace::Join(_) => &mut joined,
        };
        // Writing to a String does not fail.
        let _ = write!(list, " {kind}");
    }
    let lists = [new, joined].into_iter().filter(|list| list.contains(' '));
    lists.collect::<Vec<_>>().join("; ")
}

/// Processors as sched_setaffinity(2) has them, in hexadecimal.
fn mask(processors: &Processors) -> String {
    let mut words = processors.0.iter().rev().skip_while(|word| **word == 0);
    let mut text = format!("{:#x}", words.next().unwrap_or(&0));
    for word in words {
        let _ = write!(text, "{word:016x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_one_number() {
        let mask = |words: &[u64]| mask(&Processors(words.to_vec()));
        assert_eq!(mask(&[3, 0, 0]), "0x3");
        assert_eq!(mask(&[1, 0xa]), "0xa0000000000000001");
        assert_eq!(mask(&[]), "0x0");
    }

    #[test]
    fn nothing_is_told_unasked() {
        let mut spec = Spec::default();
        spec.namespaces.set(Kind::Pid, Namespace::New);
        assert!(told(&spec, false, MADE).is_empty());
        let told = told(&spec, true, MADE);
        assert_eq!(told[0], "nsexec container setup: new pid");
        assert_eq!(told.last().map(String::as_str), Some(MADE));
    }
}
