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
