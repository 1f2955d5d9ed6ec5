//! `mounts`, `linux.maskedPaths` and `linux.readonlyPaths`.

use std::path::{Path, PathBuf};

use warren_namespaces::Kind;
use warren_spawn::{
    Access, Forbidden, Mount, Namespace, ProcMasks, Root, Tree, Upper, system,
};

use super::Writer;
use crate::config;

impl Writer<'_> {
    pub(super) fn mounts(&mut self) {
        let spec = self.spec;
        for (number, mount) in spec.mounts.iter().enumerate() {
            let replaces_root = number == 0 && spec.root == Root::Scratch;
            if mount.target() == Path::new("/") {
                self.at_root(mount, replaces_root);
            } else {
                self.mount(mount);
            }
        }
        self.masked_too_early();
    }

    fn mount(&mut self, mount: &Mount) {
        let target = self.path("mounts", mount.target());
        match mount {
            Mount::Bind {
                source: Tree::Path(source),
                access,
                devices,
                ..
            } => {
                let source = self.path("mounts", source);
                self.push(bind(source, target, *access, *devices));
            }
            Mount::Bind {
                source: Tree::Open(open),
                ..
            } => self.losses.note(
                "mounts",
                format!("{} has no path: {target} is left out", open.name),
            ),
            Mount::Tmpfs { mode, size, .. } => self.push(tmpfs(target, *mode, *size)),
            Mount::Overlay { lower, upper, .. } => self.overlay(lower, upper, target),
            Mount::Mqueue { .. } => {
                self.push(kernel("mqueue", target, &["nosuid", "noexec", "nodev"]));
            }
            Mount::Sys { .. } => {
                self.push(kernel("sysfs", target, &["nosuid", "noexec", "nodev"]));
            }
            Mount::Folder { .. } if self.is_for_cwd(mount) => {}
            Mount::Folder { mode, .. } => self.folder(mount.target(), target, *mode),
            Mount::Symlink { content, .. } => {
                self.symlink(content, mount.target(), target);
            }
            Mount::Proc { masks, .. } => self.proc(target, *masks),
            Mount::Dev { .. } => self.dev(&target),
            Mount::Mask { .. } => self.linux.masked_paths.push(target),
            Mount::ReadOnly { .. } => self.linux.readonly_paths.push(target),
            Mount::Forbid { what, .. } => self.forbid(&target, *what),
            Mount::File { .. } => self
                .losses
                .note("mounts", format!("the file {target} is left out")),
            Mount::Mode { .. } => self
                .losses
                .note("mounts", format!("the mode of {target} is not changed")),
            Mount::Programs { .. } => self
                .losses
                .note("mounts", format!("the links in {target} are left out")),
            Mount::Detailed(mount) => self.detailed(mount, target),
            Mount::Device(device) => self.device(device, target),
            // Every runtime makes them.
            Mount::DeviceFiles { .. } if target == "/dev" => {}
            Mount::DeviceFiles { .. } => self
                .losses
                .note("mounts", format!("no devices are made in {target}")),
        }
    }

    fn push(&mut self, mount: config::Mount) {
        self.config.mounts.push(mount);
    }

    fn at_root(&mut self, mount: &Mount, replaces_root: bool) {
        match mount {
            Mount::Forbid { what, .. } => {
                if let (true, Some(root)) = (what.write, &mut self.config.root) {
                    root.readonly = true;
                }
                if what.execute {
                    self.losses.weaker("root", "programs in it can be executed");
                }
            }
            Mount::Bind { .. } | Mount::Detailed(_) if replaces_root => {}
            _ => self
                .losses
                .weaker("root", "what is mounted over it is left out"),
        }
    }

    fn overlay(&mut self, lower: &[PathBuf], upper: &Upper, target: String) {
        let texts = lower.iter().map(|path| self.path("mounts", path));
        let texts: Vec<String> = texts.collect();
        // Two are the least that overlayfs takes without an upper one.
        if matches!((upper, &texts[..]), (Upper::None | Upper::Memory, [_])) {
            if *upper == Upper::Memory {
                self.losses.note(
                    "mounts",
                    format!("changes of {target} are refused: none are kept in memory"),
                );
            }
            let source = texts.into_iter().next().unwrap_or_default();
            return self.push(bind(source, target, Access::ReadOnly, false));
        }
        let escaped = texts.iter().rev().map(|path| escaped(path));
        let lowerdir = escaped.collect::<Vec<_>>().join(":");
        let mut mount = kernel("overlay", target, &["nosuid", "nodev", "userxattr"]);
        mount.options.push(format!("lowerdir={lowerdir}"));
        match upper {
            Upper::Folder { upper, work } => {
                for (key, path) in [("upperdir", upper), ("workdir", work)] {
                    let path = escaped_path(&self.path("mounts", path));
                    mount.options.push(format!("{key}={path}"));
                }
            }
            Upper::Memory => self.losses.note(
                "mounts",
                format!(
                    "changes of {} are refused: none are kept in memory",
                    mount.destination
                ),
            ),
            Upper::None => {}
        }
        self.push(mount);
    }

    /// A folder that is empty is a filesystem that is empty: it can be written where the
    /// folder could.
    fn folder(&mut self, path: &Path, target: String, mode: u32) {
        let is_direct = path.parent() == Some(Path::new("/"));
        let is_writable = self.is_in_memory(path);
        let mut mount = tmpfs(target, mode, None);
        if !(is_writable || is_direct && self.spec.root == Root::Empty) {
            mount.options.push("ro".to_owned());
        }
        self.push(mount);
    }

    fn is_in_memory(&self, path: &Path) -> bool {
        let mut mounts = self.spec.mounts.iter();
        mounts.any(|mount| {
            let is_one = matches!(mount, Mount::Tmpfs { .. } | Mount::Folder { .. });
            is_one && path != mount.target() && path.starts_with(mount.target())
        })
    }

    /// A symlink is shown as what it leads to, if that is the host's.
    fn symlink(&mut self, content: &Path, path: &Path, target: String) {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let leads_to = crate::lexical(&folder.join(content));
        let found = self.spec.mounts.iter().rev().find_map(|mount| match mount {
            Mount::Bind {
                source: Tree::Path(source),
                target,
                access,
                devices,
            } => {
                let rest = leads_to.strip_prefix(target).ok()?;
                // A file has no rest to be joined.
                let source = source.join(rest).components().collect::<PathBuf>();
                Some((source, *access, *devices))
            }
            _ => None,
        });
        match found.filter(|(source, _, _)| source.exists()) {
            Some((source, access, devices)) => {
                let source = self.path("mounts", &source);
                self.push(bind(source, target, access, devices));
            }
            None => self
                .losses
                .note("mounts", format!("the symlink {target} is left out")),
        }
    }

    fn proc(&mut self, target: String, masks: ProcMasks) {
        if *self.spec.namespaces.get(Kind::Pid) != Namespace::New {
            // The host's processes are seen, as they are without a pid namespace.
            let mount = bind("/proc".to_owned(), target, Access::ReadWrite, false);
            return self.push(mount);
        }
        let names = system::masked(masks, self.spec.may_be_hosts_root());
        let join = |name: &&str| format!("{}/{name}", target.trim_end_matches('/'));
        self.linux
            .masked_paths
            .extend(names.covered.iter().map(join));
        self.linux
            .readonly_paths
            .extend(names.read_only.iter().map(join));
        self.push(kernel("proc", target, &["nosuid", "noexec", "nodev"]));
    }

    /// Devices and links in it every runtime makes.
    fn dev(&mut self, target: &str) {
        if target != "/dev" {
            return self.losses.note(
                "mounts",
                format!("runtimes make devices in /dev alone: {target} is left out"),
            );
        }
        let options = ["nosuid", "strictatime", "mode=755"];
        self.push(kernel("tmpfs", target.to_owned(), &options));
        let options = [
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
        ];
        self.push(kernel("devpts", format!("{target}/pts"), &options));
        self.push(tmpfs(format!("{target}/shm"), 0o1777, None));
    }

    fn forbid(&mut self, target: &str, what: Forbidden) {
        let words = [
            (what.write, "ro"),
            (what.execute, "noexec"),
            (what.devices, "nodev"),
            (what.set_id, "nosuid"),
        ];
        let mut mounts = self.config.mounts.iter_mut().rev();
        let Some(mount) = mounts.find(|mount| mount.destination == target) else {
            return self
                .losses
                .weaker("mounts", format!("{target} forbids no more than before"));
        };
        for (_, word) in words.into_iter().filter(|(forbidden, _)| *forbidden) {
            mount.options.retain(|option| option != "rw");
            if !mount.options.iter().any(|option| option == word) {
                mount.options.push(word.to_owned());
            }
        }
    }

    /// All masks of a config.json come after all mounts.
    fn masked_too_early(&mut self) {
        let mounts = &self.spec.mounts;
        for (number, mask) in mounts.iter().enumerate() {
            let is_mask = matches!(mask, Mount::Mask { .. } | Mount::ReadOnly { .. });
            let is_covered =
                |later: &Mount| is_mask && later.target().starts_with(mask.target());
            if is_mask && mounts[number + 1..].iter().any(is_covered) {
                let target = mask.target().display();
                let what = format!("what is mounted over {target} is masked as well");
                self.losses.note("linux.maskedPaths", what);
            }
        }
    }
}

pub(super) fn bind(
    source: String,
    destination: String,
    access: Access,
    devices: bool,
) -> config::Mount {
    let mut options = vec!["rbind", "rprivate", "nosuid"];
    if !devices {
        options.push("nodev");
    }
    options.push(match access {
        Access::ReadOnly => "ro",
        Access::ReadWrite => "rw",
    });
    config::Mount {
        destination,
        r#type: "bind".to_owned(),
        source,
        options: options.into_iter().map(str::to_owned).collect(),
        ..config::Mount::default()
    }
}

fn kernel(r#type: &str, destination: String, options: &[&str]) -> config::Mount {
    config::Mount {
        destination,
        r#type: r#type.to_owned(),
        source: r#type.to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        ..config::Mount::default()
    }
}

fn tmpfs(destination: String, mode: u32, size: Option<u64>) -> config::Mount {
    let mut mount = kernel("tmpfs", destination, &["nosuid", "nodev"]);
    mount.options.push(format!("mode={mode:o}"));
    mount
        .options
        .extend(size.map(|bytes| format!("size={bytes}")));
    mount
}

/// Of a layer: overlayfs takes a colon for the end of a path.
fn escaped(path: &str) -> String {
    escaped_path(path).replace(':', "\\:")
}

fn escaped_path(path: &str) -> String {
    path.replace('\\', "\\\\")
}
