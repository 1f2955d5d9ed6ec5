//! `hooks`.

use super::object::object;

object! {
    /// Programs that are run at fixed moments; each gets the container's state on its
    /// standard input.
    pub struct Hooks {
        sometimes {
            /// The name of `createRuntime` before 1.0.2; deprecated.
            prestart: Vec<Hook> = "prestart",
            /// After the namespaces were made, outside of them.
            create_runtime: Vec<Hook> = "createRuntime",
            /// After the mounts, in the container's namespaces, with the host's root.
            create_container: Vec<Hook> = "createContainer",
            /// Before the program, in the container.
            start_container: Vec<Hook> = "startContainer",
            /// After the program was started, outside.
            poststart: Vec<Hook> = "poststart",
            /// After the container was deleted, outside.
            poststop: Vec<Hook> = "poststop",
        }
    }
}

impl Hooks {
    /// Each kind by its name, in the order of their moments.
    #[must_use]
    pub fn kinds(&self) -> [(&'static str, &[Hook]); 6] {
        [
            ("prestart", &self.prestart),
            ("createRuntime", &self.create_runtime),
            ("createContainer", &self.create_container),
            ("startContainer", &self.start_container),
            ("poststart", &self.poststart),
            ("poststop", &self.poststop),
        ]
    }
}

object! {
    /// One of them.
    pub struct Hook {
        always {
            /// The program, by an absolute path.
            path: String = "path",
        }
        sometimes {
            /// Its arguments, the first of which is its name.
            args: Vec<String> = "args",
            /// Its environment, `KEY=VALUE`.
            env: Vec<String> = "env",
            /// Seconds after which it is given up.
            timeout: Option<i64> = "timeout",
        }
    }
}
