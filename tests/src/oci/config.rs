//! Each property of config.json: that the container is what it says, and the same as that of
//! Debian's runc or crun where they know the property.

pub mod attacks;
pub mod limits;
pub mod mounts;
pub mod namespaces;
pub mod process;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use warren_testkit::{Output, program, run, scratch, warren};

/// A bundle whose root has the host's programs bound into it.
pub struct Bundle {
    folder: PathBuf,
    config: Value,
}

impl Bundle {
    /// As `runc spec` writes it, with some values changed, and a root that can be written.
    pub fn new(changes: &[(&str, Value)]) -> Self {
        let count = fs::read_dir(scratch()).map_or(0, Iterator::count);
        let folder = scratch().join(format!("bundle{count}"));
        for name in ["proc", "dev", "sys", "tmp", "usr", "etc", "mnt"] {
            let folder = folder.join("rootfs").join(name);
            fs::create_dir_all(folder).expect("make a bundle");
        }
        run(program("runc").args(["spec", "--bundle"]).arg(&folder)).succeeds();
        let text = fs::read_to_string(folder.join("config.json"));
        let config = serde_json::from_str(&text.expect("a config.json")).expect("JSON");
        let mut bundle = Self { folder, config };
        bundle.set("process/terminal", json!(false));
        bundle.set("root/readonly", json!(false));
        for name in ["usr", "bin", "lib", "lib64"] {
            let path = format!("/{name}");
            if Path::new(&path).exists() {
                bundle.mount(json!({"destination": path, "source": path, "type": "bind",
                    "options": ["rbind", "ro"]}));
            }
        }
        for (place, value) in changes {
            bundle.set(place, value.clone());
        }
        bundle
    }

    /// Where its root is on the host.
    pub fn root(&self) -> PathBuf {
        self.folder.join("rootfs")
    }

    /// Sets the value at a path of keys and indexes, and makes what leads to it. `-` adds to
    /// a list.
    pub fn set(&mut self, place: &str, value: Value) {
        let mut at = &mut self.config;
        for part in place.split('/') {
            if part == "-" {
                let list = at.as_array_mut().expect("a list");
                return list.push(value);
            }
            at = match part.parse::<usize>() {
                Ok(index) => &mut at[index],
                Err(_) => &mut at[part],
            };
        }
        *at = value;
    }

    /// Adds a mount.
    pub fn mount(&mut self, mount: Value) {
        self.set("mounts/-", mount);
    }

    /// With one more mount.
    pub fn with_mount(mount: Value) -> Self {
        Self::new(&[("mounts/-", mount)])
    }

    /// With exactly these new namespaces besides the mount namespace.
    pub fn with_namespaces(kinds: &[&str]) -> Self {
        let kinds = kinds.iter().chain(&["mount"]);
        let list: Vec<_> = kinds.map(|kind| json!({"type": kind})).collect();
        Self::new(&[("linux/namespaces", json!(list))])
    }

    fn write(&self, script: &str) {
        let mut config = self.config.clone();
        config["process"]["args"] = json!(["sh", "-c", script]);
        fs::write(self.folder.join("config.json"), config.to_string())
            .expect("write config.json");
    }

    /// A script in it, by Warren.
    pub fn ours(&self, script: &str) -> Output {
        self.write(script);
        run(warren(["run", "--from", "oci"]).arg(&self.folder))
    }

    /// The same by Debian's runc.
    pub fn runc(&self, script: &str) -> Output {
        self.write(script);
        let mut runc = program("runc");
        runc.arg("--root").arg(scratch().join("runc"));
        let id = format!("warren-test-{}", std::process::id());
        run(runc.args(["run", "--bundle"]).arg(&self.folder).arg(id))
    }

    /// The same by Debian's crun, which takes no hybrid of control groups: it is shown v2
    /// alone. It gives its standard input to the container's root, even where that is the
    /// machine's /dev/null: a pipe stands in for it.
    pub fn crun(&self, script: &str) -> Output {
        self.write(script);
        let crun = format!(
            "mount -t cgroup2 none /sys/fs/cgroup && : | crun --root {} \
             --cgroup-manager=disabled run --bundle {} warren-test-{}",
            scratch().join("crun").display(),
            self.folder.display(),
            std::process::id()
        );
        run(program("unshare").args(["--mount", "sh", "-c", &crun]))
    }

    /// The script says the same in both.
    #[track_caller]
    pub fn as_runc(&self, script: &str) -> Output {
        let theirs = self.runc(script);
        let ours = self.ours(script);
        let (own, other) = (ours.succeeds().trim_end(), theirs.succeeds().trim_end());
        ours.expect(&format!("as {theirs}"), own == other);
        ours
    }

    /// The script says the same in both.
    #[track_caller]
    pub fn as_crun(&self, script: &str) -> Output {
        let theirs = self.crun(script);
        let ours = self.ours(script);
        let (own, other) = (ours.succeeds().trim_end(), theirs.succeeds().trim_end());
        ours.expect(&format!("as {theirs}"), own == other);
        ours
    }

    /// Both refuse it, and Warren says why.
    #[track_caller]
    pub fn is_refused_as_by_runc(&self, words: &str) {
        let theirs = self.runc("echo ran");
        theirs.expect("refused", theirs.code() != 0 && theirs.stdout.is_empty());
        self.ours("echo ran").is_refused(words);
    }
}

/// What a user namespace of the caller's own first ids is.
pub fn mapped(bundle: &mut Bundle, first: u32) {
    let map = json!([{"containerID": 0, "hostID": first, "size": 65536}]);
    bundle.set("linux/namespaces/-", json!({"type": "user"}));
    bundle.set("linux/uidMappings", map.clone());
    bundle.set("linux/gidMappings", map);
}
