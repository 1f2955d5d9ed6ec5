//! A config.json to begin with.

use crate::config::{Config, IdMapping, Linux, Mount, Namespace};

/// The text of one, for root.
pub const TEMPLATE: &str = include_str!("config.json");

/// The same for somebody who is not: in a user namespace in which `uid` and `gid` are root,
/// and without what takes more.
#[must_use]
pub fn rootless_template(uid: u32, gid: u32) -> String {
    let mut config = Config::parse(TEMPLATE).unwrap_or_default();
    for mount in &mut config.mounts {
        let needs_group =
            |word: &String| word.starts_with("gid=") || word.starts_with("uid=");
        mount.options.retain(|word| !needs_group(word));
        if mount.destination == "/sys" {
            // Without a network namespace of its own it can only be shown.
            *mount = host_sysfs();
        }
    }
    config
        .mounts
        .retain(|mount| mount.destination != "/sys/fs/cgroup");
    let linux = config.linux.get_or_insert_with(Linux::default);
    linux
        .namespaces
        .retain(|one| one.r#type != "network" && one.r#type != "cgroup");
    linux.namespaces.push(Namespace {
        r#type: "user".to_owned(),
        ..Namespace::default()
    });
    let one = |host_id| {
        vec![IdMapping {
            container_id: 0,
            host_id,
            size: 1,
        }]
    };
    linux.uid_mappings = one(uid);
    linux.gid_mappings = one(gid);
    linux.resources = None;
    config.text()
}

/// Read-only with all that is mounted in it: a group that was given to the user could be
/// changed from inside (CVE-2023-25809).
fn host_sysfs() -> Mount {
    let options = ["rbind", "nosuid", "noexec", "nodev", "rro"];
    Mount {
        destination: "/sys".to_owned(),
        r#type: "none".to_owned(),
        source: "/sys".to_owned(),
        options: options.map(str::to_owned).to_vec(),
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_what_is_read() {
        let config = Config::parse(TEMPLATE).expect("the template");
        assert_eq!(config.mounts.len(), 7);
        let rootless = Config::parse(&rootless_template(1000, 100)).expect("the other");
        let linux = rootless.linux.expect("it has some");
        assert_eq!(linux.uid_mappings[0].host_id, 1000);
        assert!(linux.namespaces.iter().any(|one| one.r#type == "user"));
        assert!(rootless.mounts.iter().all(|mount| mount.r#type != "cgroup"));
    }
}
