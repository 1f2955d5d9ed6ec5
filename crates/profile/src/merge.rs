//! One profile on top of another.

use crate::profile::{
    Capabilities, Files, Limits, Network, Process, Profile, Syscalls, Version,
};
use crate::text::optional;

impl Profile {
    /// This profile on top of `lower`: lists have the entries of both, and where both say
    /// one thing, what this one says counts.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            version: Version,
            about: self.about.or(lower.about),
            include: joined(lower.include, self.include),
            require: joined(lower.require, self.require),
            landlock: self.landlock.or(lower.landlock),
            files: self.files.over(lower.files),
            process: self.process.over(lower.process),
            network: self.network.over(lower.network),
            syscalls: self.syscalls.over(lower.syscalls),
            capabilities: self.capabilities.over(&lower.capabilities),
            limits: self.limits.over(&lower.limits),
        }
    }
}

impl Files {
    /// A path that this one has in any list is out of the lists of the lower.
    fn over(self, lower: Self) -> Self {
        let path = |entry: &String| optional(entry).0.to_owned();
        let own: Vec<String> = self
            .lists()
            .iter()
            .flat_map(|(_, list)| list.iter().map(path))
            .collect();
        let add = |mut lower: Vec<String>, list: Vec<String>| {
            lower.retain(|entry| !own.iter().any(|path| path == optional(entry).0));
            lower.extend(list);
            lower
        };
        Self {
            root: self.root.or(lower.root),
            read: add(lower.read, self.read),
            write: add(lower.write, self.write),
            overlay: add(lower.overlay, self.overlay),
            tmpfs: add(lower.tmpfs, self.tmpfs),
            // The last that matches counts, so an order is all that they have.
            hide: lower.hide.into_iter().chain(self.hide).collect(),
        }
    }
}

impl Process {
    fn over(self, lower: Self) -> Self {
        let mut set = lower.set;
        set.extend(self.set);
        Self {
            workdir: self.workdir.or(lower.workdir),
            hostname: self.hostname.or(lower.hostname),
            map: self.map.or(lower.map),
            clear_env: self.clear_env.or(lower.clear_env),
            pass: joined(lower.pass, self.pass),
            set,
        }
    }
}

impl Network {
    fn over(self, lower: Self) -> Self {
        Self {
            mode: self.mode.or(lower.mode),
            connect: both(lower.connect, self.connect),
            bind: both(lower.bind, self.bind),
        }
    }
}

impl Syscalls {
    /// Lists are added to lists; a policy or a file stands in place of what is below, and
    /// lists in place of a policy or a file.
    fn over(self, lower: Self) -> Self {
        let is_whole = |one: &Self| one.policy.is_some() || one.file.is_some();
        if self == Self::default() {
            return lower;
        }
        if is_whole(&self) || is_whole(&lower) {
            return self;
        }
        Self {
            default: self.default.or(lower.default),
            allow: joined(lower.allow, self.allow),
            deny: joined(lower.deny, self.deny),
            policy: None,
            file: None,
        }
    }
}

impl Capabilities {
    fn over(self, lower: &Self) -> Self {
        Self {
            add: self.add.iter().chain(lower.add.iter()).collect(),
        }
    }
}

impl Limits {
    fn over(self, lower: &Self) -> Self {
        Self {
            cpu_time: self.cpu_time.or(lower.cpu_time),
            file_size: self.file_size.or(lower.file_size),
            open_files: self.open_files.or(lower.open_files),
            processes: self.processes.or(lower.processes),
            address_space: self.address_space.or(lower.address_space),
        }
    }
}

/// Both lists, each item once.
fn joined<T: PartialEq>(mut lower: Vec<T>, own: Vec<T>) -> Vec<T> {
    for item in own {
        if !lower.contains(&item) {
            lower.push(item);
        }
    }
    lower
}

/// Both lists, where one that is not there says nothing.
fn both<T: PartialEq>(lower: Option<Vec<T>>, own: Option<Vec<T>>) -> Option<Vec<T>> {
    match (lower, own) {
        (Some(lower), Some(own)) => Some(joined(lower, own)),
        (lower, own) => own.or(lower),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(rest: &str) -> Profile {
        format!("version = 1\n{rest}").parse().expect(rest)
    }

    #[track_caller]
    fn assert_over(own: &str, lower: &str, expected: &str) {
        let all = profile(own).over(profile(lower));
        assert_eq!(all.to_string(), profile(expected).to_string());
    }

    #[test]
    fn a_path_is_in_the_list_that_the_upper_has_it_in() {
        assert_over(
            "files.write = ['/a', '?/c']",
            "files.read = ['?/a', '/b']\nfiles.overlay = ['/c']",
            "files.read = ['/b']\nfiles.write = ['/a', '?/c']",
        );
    }

    #[test]
    fn lists_have_the_entries_of_both_and_patterns_their_order() {
        assert_over(
            "files.hide = ['!a']\nprocess.pass = ['A']\nnetwork.bind = [1]",
            "files.hide = ['a', 'b']\nprocess.pass = ['B', 'A']\nnetwork.bind = [2]",
            "files.hide = ['a', 'b', '!a']\nprocess.pass = ['B', 'A']\nnetwork.bind = [2, 1]",
        );
    }

    #[test]
    fn of_single_values_the_upper_counts() {
        assert_over(
            "landlock = false\nlimits.processes = 'unlimited'\nprocess.set.A = 'x'",
            "landlock = true\nlimits.processes = 3\nlimits.open-files = 4\n\
             process.set = { A = 'y', B = 'z' }",
            "landlock = false\nlimits.processes = 'unlimited'\nlimits.open-files = 4\n\
             process.set = { A = 'x', B = 'z' }",
        );
    }

    #[test]
    fn a_policy_stands_in_place_of_lists_and_lists_of_a_policy() {
        let policy = "syscalls.policy = 'default allow'";
        let lists = "syscalls.default = 'deny'\nsyscalls.allow = ['read']";
        assert_over(policy, lists, policy);
        assert_over(lists, policy, lists);
        assert_over("", policy, policy);
        assert_over(
            "syscalls.allow = ['@net']",
            lists,
            "syscalls.default = 'deny'\nsyscalls.allow = ['read', '@net']",
        );
    }
}
