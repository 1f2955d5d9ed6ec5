//! `root` and `mounts`.

use super::object::object;

object! {
    /// Where the container's root lies.
    pub struct Root {
        always {
            /// A path, absolute or below the bundle.
            path: String = "path",
        }
        sometimes {
            /// Whether it cannot be written.
            readonly: bool = "readonly",
        }
    }
}

object! {
    /// One of `mounts`.
    pub struct Mount {
        always {
            /// Where it appears in the container.
            destination: String = "destination",
        }
        sometimes {
            /// The filesystem, as in /proc/filesystems, or `bind`.
            r#type: String = "type",
            /// A device, a name, or the path of what is bound: absolute or below the bundle.
            source: String = "source",
            /// Options as mount(8) has them, and those of runtimes: `rro`, `tmpcopyup`, ...
            options: Vec<String> = "options",
            /// Which users own the files here, instead of their own.
            uid_mappings: Vec<IdMapping> = "uidMappings",
            /// Which groups.
            gid_mappings: Vec<IdMapping> = "gidMappings",
        }
    }
}

object! {
    /// A run of ids.
    pub struct IdMapping {
        always {
            /// The first inside.
            container_id: u32 = "containerID",
            /// The first outside.
            host_id: u32 = "hostID",
            /// How many.
            size: u32 = "size",
        }
    }
}
