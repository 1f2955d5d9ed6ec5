//! What is written of a container when it is made, and never changed.

use std::collections::BTreeMap;

use super::group::Group;
use crate::config::Config;
use crate::config::object::object;

/// The version of the file; one with another first number is not read.
pub(super) const VERSION: u32 = 1;

object! {
    /// The file `state.json`, without the config.json in it.
    pub struct Record {
        always {
            /// The version of the file.
            version: u32 = "version",
            /// Its name.
            id: String = "id",
            /// The version of the specification that its config.json follows.
            oci_version: String = "ociVersion",
            /// The folder that it was made of.
            bundle: String = "bundle",
            /// The folder that is its root.
            rootfs: String = "rootfs",
            /// When it was made, as RFC 3339 writes it.
            created: String = "created",
            /// The user that made it.
            owner: u32 = "owner",
        }
        sometimes {
            /// Whether it waits for its start.
            gated: bool = "gated",
            /// Whether it has its maker's session keyring.
            callers_keyring: bool = "callersKeyring",
            /// Whether somebody waits to hear that its program is ready.
            notifies: bool = "notifies",
            /// The mount on which its root lies, if that is one of its maker's namespace.
            lies_on: Option<u64> = "liesOn",
            /// Its control group.
            cgroup: Option<Group> = "cgroup",
            /// Words for others.
            annotations: BTreeMap<String, String> = "annotations",
        }
    }
}

object! {
    /// The config.json in the same file.
    pub struct Within {
        sometimes {
            /// The whole of it.
            config: Config = "config",
        }
    }
}

impl Record {
    /// The session keyring that its processes share, called as runc calls it.
    pub(super) fn session_keyring(&self) -> Option<String> {
        (!self.callers_keyring).then(|| format!("_ses.{}", self.id))
    }

    /// The text of the file, around that of a config.json.
    pub(super) fn text(&self, config: &str) -> String {
        // Strings, numbers and a map of strings: nothing that JSON cannot say.
        let mut text = serde_json::to_string(self).unwrap_or_default();
        text.pop();
        text + ",\"config\":" + config.trim() + "}\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_and_its_config_are_read_apart() {
        let record = Record {
            version: VERSION,
            id: "web".to_owned(),
            gated: true,
            ..Record::default()
        };
        let text = record.text("{\"ociVersion\": \"1.3.0\", \"hostname\": \"burrow\"}\n");
        let read: Record = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(read, record);
        let Within { config } = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(config.hostname, "burrow");
    }
}
