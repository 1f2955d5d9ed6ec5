//! What a step does, in words.

mod detailed;

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;

use warren_confine::landlock::{Handled, Scopes, Tcp};
use warren_mounts::Attributes;
use warren_network::Connection;

use super::{Layering, LayeringUpper, MapLines, MapWriter, Maps, Place, Source, Step};
use crate::spec::{Access, Content, Join, Tree, User};

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReserveIds => {
                write!(f, "reserve {} unused host ids", crate::ids::BLOCK)
            }
            Self::OpenNamespace { kind, from } => {
                write!(f, "open the {kind} namespace {from}")
            }
            Self::MakeDisk { folder, size, .. } => write!(
                f,
                "make a filesystem of {size} bytes in a file without a name in {}",
                folder.display()
            ),
            Self::CloneTree {
                tree,
                access,
                devices,
                recursive,
            } => {
                let alone = if *recursive {
                    ""
                } else {
                    ", without the mounts in it"
                };
                write!(
                    f,
                    "clone the tree {tree}{}{}{alone}",
                    words(*access),
                    with_devices(*devices)
                )
            }
            Self::Clone { namespaces } if namespaces.is_empty() => {
                f.write_str("clone a process")
            }
            Self::Clone { namespaces } => {
                write!(f, "clone a process into new namespaces {namespaces}")
            }
            Self::WriteMaps { maps } => write!(f, "write the id maps: {maps}"),
            Self::ShiftIds { name, .. } => {
                write!(f, "show {name} under the container's ids")
            }
            Self::Release => f.write_str("let the child go on"),
            Self::Connect(connection) => connect(f, connection),
            Self::AwaitNetwork => f.write_str("wait until the network is there"),
            Self::MakeGroup(blueprint) => {
                write!(
                    f,
                    "make the control group {}",
                    blueprint.places().join(", ")
                )
            }
            Self::SetLimit { setting, .. } => {
                write!(f, "limit {}: {setting}", setting.limit)
            }
            Self::EnterGroup { delegate } => {
                let handed = if *delegate { " and hand it over" } else { "" };
                write!(f, "put the process into the control group{handed}")
            }
            Self::CoreSched => f.write_str("begin a group of core scheduling"),
            Self::AwaitGroup => f.write_str("wait until it is in the control group"),
            Self::CgroupNamespace => {
                f.write_str("make a cgroup namespace with that group as its root")
            }
            Self::ShiftIdsTo { path, name, .. } => {
                write!(f, "show {} under the ids of {name}", path.display())
            }
            Self::Graft {
                source,
                target,
                make,
                ..
            } => {
                let made = if *make {
                    ", which is made if it is missing"
                } else {
                    ""
                };
                write!(f, "mount {} at {target}{made}", source.display())
            }
            Self::Unmount { target } => write!(f, "unmount {target}"),
            Self::Hide => f.write_str("hide the process from who lives there"),
            Self::HideHolder { .. } => {
                f.write_str("forget the caller's arguments and environment")
            }
            Self::Hold => f.write_str("close all descriptors and stay"),
            Self::Finish => f.write_str("end"),
            Self::DieWithParent { signal } => {
                write!(f, "receive signal {signal} when the parent dies")
            }
            Self::AwaitParent => f.write_str("wait for the parent"),
            Self::WriteOwnMaps { uid, gid, .. } => {
                write!(f, "write the id maps: uids {uid}, gids {gid}")
            }
            Self::JoinCgroup(group) => write!(f, "join the control group {}", group.name),
            Self::HoldTerminal => {
                f.write_str("open a terminal, should the root to be entered have none")
            }
            Self::KeepTree { path, access, .. } => {
                write!(f, "take {} along{}", text(path), words(*access))
            }
            Self::KeepDevices => f.write_str("take the device files along"),
            Self::CopyMounts { private: true } => {
                f.write_str("copy the mount namespace, to mount unseen by others")
            }
            Self::CopyMounts { private: false } => {
                f.write_str("copy the mount namespace, to be allowed to clone trees")
            }
            Self::JoinNamespace {
                kind,
                through: false,
                ..
            } => write!(f, "enter the {kind} namespace"),
            Self::JoinNamespace { kind, .. } => {
                write!(f, "pass through the {kind} namespace that owns the next")
            }
            Self::JoinProcess { process, kinds } => {
                write!(f, "enter namespaces of {}: {kinds}", process.name)
            }
            Self::ChangeRootTo(folder) => write!(f, "make {} the root", folder.name),
            Self::ChangeRoot(path) => write!(f, "make {} the root", text(path)),
            Self::RootVisit => f.write_str(
                "make a root of one's own with all that is in the entered one",
            ),
            Self::ProcOfJoined { target } => {
                write!(f, "mount a procfs of the pid namespace at {target}")
            }
            Self::Programs {
                target, content, ..
            } => write!(f, "make links to {} in {target}", text(content)),
            Self::TakeIds { user, .. } => write!(f, "become {user}"),
            Self::LeaveCaller => {
                f.write_str("leave the caller's process group and terminal")
            }
            Self::Hostname(name) => write!(f, "set the host name {}", text(name)),
            Self::Domainname(name) => write!(f, "set the domain name {}", text(name)),
            Self::Sysctl { path, value } => {
                write!(f, "write {} to /proc/{}", text(value), text(path))
            }
            Self::OomScoreAdj(score) => {
                write!(
                    f,
                    "set the score for who is killed first to {}",
                    text(score)
                )
            }
            Self::Loopback => f.write_str("bring the interface lo up"),
            Self::LimitUserNamespaces => {
                f.write_str("forbid further user namespaces (user.max_user_namespaces)")
            }
            Self::PrivateMounts => f.write_str("make all mounts private"),
            Self::FollowMounts => {
                f.write_str("let mounts come from the host and go nowhere")
            }
            Self::RootHere => f.write_str("open the root"),
            Self::Layers { disk: Some(_), .. } => f.write_str(
                "take that filesystem for all that can be written and vanishes",
            ),
            Self::Layers { size: None, .. } => {
                f.write_str("make a tmpfs for the layers of overlays")
            }
            Self::Layers { size, .. } => {
                f.write_str("make a tmpfs for all that can be written and vanishes")?;
                at_most(size.as_deref(), f)
            }
            Self::FolderInMemory { target, mode } => {
                write!(
                    f,
                    "mount a folder of that filesystem at {target}, mode {mode:o}"
                )
            }
            Self::HandLayers => {
                f.write_str("hand the layers of overlays to the parent, to be read later")
            }
            Self::RootEmpty { mode, size } => {
                f.write_str("make an empty root")?;
                if mode.as_c_str() != c"755" {
                    write!(f, ", mode {}", text(mode))?;
                }
                at_most(size.as_deref(), f)
            }
            Self::RootShared { mode } => {
                write!(
                    f,
                    "make a folder of that filesystem the root, mode {mode:o}"
                )
            }
            Self::RootTree {
                source,
                access,
                devices,
            } => {
                let devices = with_devices(*devices);
                write!(f, "make {source} the root{}{devices}", words(*access))
            }
            Self::RootOverlay(layering) => {
                write!(f, "make {layering} the root{}", layering.upper)
            }
            Self::Bind {
                source,
                target,
                access,
                devices,
                ..
            } => {
                let devices = with_devices(*devices);
                write!(f, "bind {source} at {target}{}{devices}", words(*access))
            }
            Self::Tmpfs { target, mode, size } => {
                write!(f, "mount a tmpfs at {target}, mode {}", text(mode))?;
                at_most(size.as_deref(), f)
            }
            Self::Overlay { layering, target } => {
                write!(f, "mount {layering} at {target}{}", layering.upper)
            }
            Self::Mqueue { target } => {
                write!(f, "mount the message queues at {target}")
            }
            Self::File {
                content,
                target,
                mode,
                mounted,
            } => match mounted {
                None => write!(f, "make the file {target} {content}, mode {mode:o}"),
                Some(access) => {
                    let access = words(*access);
                    write!(
                        f,
                        "mount a file {content} at {target}, mode {mode:o}{access}"
                    )
                }
            },
            Self::Mode { target, mode } => {
                write!(f, "change the mode of {target} to {mode:o}")
            }
            Self::Forbid { target, attributes } => {
                f.write_str("let the mount at ")?;
                match target {
                    Some(target) => target.fmt(f)?,
                    None => f.write_str("/")?,
                }
                f.write_str(" forbid")?;
                forbidden(*attributes, f)
            }
            Self::EnterUserNamespace(namespace) => {
                write!(f, "enter the user namespace {}", namespace.name)
            }
            Self::BeBornAgain => f.write_str("fork into a pid namespace below this one"),
            Self::CloseCallers(fds) => write!(f, "close the caller's {fds:?}"),
            Self::AllowOneUserNamespace => {
                f.write_str("allow one more user namespace (user.max_user_namespaces)")
            }
            Self::InnerUserNamespace { uid, gid, .. } => write!(
                f,
                "make an inner user namespace, in which uid is {} and gid {}",
                uid.inside, gid.inside
            ),
            Self::CheckNoUserNamespaces => {
                f.write_str("check that no user namespace can be made")
            }
            Self::NewSession => f.write_str("lead a session of its own"),
            Self::AwaitMaps(open) => {
                write!(f, "wait for the id maps, told by {}", open.name)
            }
            Self::LockFile(path) => write!(f, "lock {} for reading", text(path)),
            Self::Folder {
                target,
                mode,
                own,
                shared,
            } => {
                let kind = if *own { "writable folder" } else { "folder" };
                let place = if *shared { " in that filesystem" } else { "" };
                write!(f, "make the {kind} {target}{place}, mode {mode:o}")
            }
            Self::Symlink { content, target } => {
                write!(f, "make the symlink {target} to {}", text(content))
            }
            Self::ProcOfHost { target } => {
                write!(f, "show the host's procfs at {target}")
            }
            Self::Proc { target } => write!(f, "mount a procfs at {target}"),
            Self::ProcMasks { cover: true, .. } => {
                f.write_str("mask what the procfs tells of the host")
            }
            Self::ProcMasks { .. } => {
                f.write_str("make what of the procfs changes the host read-only")
            }
            Self::DevFolder { target, size } => {
                write!(f, "mount a tmpfs at {target} for devices")?;
                at_most(size.as_deref(), f)
            }
            Self::Devices { sealed } => {
                write!(f, "bind the devices {} at /dev", crate::child::DEVICE_NAMES)?;
                f.write_str(if *sealed { ", read-only as files" } else { "" })
            }
            Self::DevLinks => f.write_str("make the usual links in /dev"),
            Self::DevPts { .. } => f.write_str("mount a devpts at /dev/pts"),
            Self::Mask { target, .. } => write!(f, "mask {target}"),
            Self::ReadOnly { target } => write!(f, "make {target} read-only"),
            Self::Sys { target } => write!(f, "mount a sysfs at {target}"),
            Self::SealRoot => f.write_str("make the root itself read-only"),
            Self::OpenTerminal { multiplexer, .. } => {
                write!(f, "open a terminal at {}", text(multiplexer))
            }
            Self::EnterRoot { .. } => {
                f.write_str("enter the new root and let the old one go")
            }
            Self::WorkDir(paths) => {
                f.write_str("change to the directory ")?;
                for (number, path) in paths.iter().enumerate() {
                    let or = if number > 0 { ", or " } else { "" };
                    write!(f, "{or}{}", text(path))?;
                }
                Ok(())
            }
            Self::WorkDirTo(folder) => write!(f, "change to {}", folder.name),
            Self::SetRlimit(limit) => write!(f, "set the resource limit {limit}"),
            Self::DropBounding { keep } => {
                write!(f, "limit the bounding set to the capabilities {keep}")
            }
            Self::SetUser { user, .. } => write!(f, "become {user}"),
            Self::SetGroups(groups) => {
                let groups: Vec<u32> = groups.iter().map(|gid| gid.as_raw()).collect();
                write!(f, "take the groups {groups:?}")
            }
            Self::SetCapabilities(sets) => match sets.one() {
                Some(set) => write!(f, "set the capabilities {set}"),
                None => write!(
                    f,
                    "set the capabilities: effective {}, permitted {}, inheritable {}, \
                     ambient {}",
                    sets.effective, sets.permitted, sets.inheritable, sets.ambient
                ),
            },
            Self::Umask(mask) => write!(f, "take the umask {mask:04o}"),
            Self::NoNewPrivs => f.write_str("give up new privileges (no_new_privs)"),
            Self::Ruleset(handled) => {
                write!(f, "begin Landlock's rules: {}", kinds(*handled))
            }
            Self::Allow { place, rights } => write!(f, "allow {place}: {rights}"),
            Self::AllowStreams(_) => {
                f.write_str("allow what the standard streams are, as they are open")
            }
            Self::AllowPort { port, rights } => {
                write!(f, "allow to {} TCP port {port}", verb(*rights))
            }
            Self::RestrictSelf => f.write_str("come under Landlock's rules"),
            Self::LoadSeccomp(_) => f.write_str("load the system-call filter"),
            Self::LoadProfile {
                filter, listens, ..
            } => {
                let length = filter.instructions().len();
                write!(f, "load the system-call profile, {length} instructions")?;
                listened(*listens, f)
            }
            Self::LoadProfileFirst {
                filter, listens, ..
            } => {
                let length = filter.instructions().len();
                write!(
                    f,
                    "load the system-call profile while there is the privilege to, \
                     {length} instructions"
                )?;
                listened(*listens, f)
            }
            Self::LoadFilter(filter) => {
                let length = filter.instructions().len();
                write!(f, "load the given filter, {length} instructions")
            }
            Self::AwaitExec(open) => {
                write!(f, "wait for the word to execute, told by {}", open.name)
            }
            Self::CheckProgram => f.write_str("look for the program"),
            Self::OutliveCaller => f.write_str("outlive the caller"),
            Self::AwaitGate { gate, .. } => write!(f, "wait at {}", gate.name),
            Self::AwaitCaller => {
                f.write_str("wait for what the caller does before the root")
            }
            Self::Hook(hook) => write!(f, "run the {}", hook.name),
            Self::CloseHosts { .. } => f.write_str("close what leads to the host"),
            Self::ForkSibling => f.write_str("go on as a child of the caller"),
            Self::HideInit { examinable: false } => {
                f.write_str("hide the init from the program")
            }
            Self::HideInit { examinable: true } => {
                f.write_str("empty what the init's memory has of the caller")
            }
            Self::ForkInit { keep } if keep.is_empty() => {
                f.write_str("fork the program and stay as its init")
            }
            Self::ForkInit { keep } => {
                write!(
                    f,
                    "fork the program and stay as its init, with {keep:?} open"
                )
            }
            Self::DieWithInit => f.write_str("receive signal 9 when the init dies"),
            Self::ControlTerminal { .. } => f.write_str("make the terminal its own"),
            Self::AwaitObserver => f.write_str("wait until it is watched"),
            Self::Descriptors { keep } if keep.is_empty() => {
                f.write_str("close all descriptors above 2")
            }
            Self::Descriptors { keep } => {
                write!(f, "close all descriptors above 2 but {keep:?}")
            }
            Self::Exec(program) => match &program.file {
                Some(file) => write!(f, "execute {}", file.name),
                None => write!(f, "execute {}", program.name.display()),
            },
            detailed => detailed.fmt_detailed(f),
        }
    }
}

fn listened(listens: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match listens {
        true => f.write_str(", with a listener"),
        false => Ok(()),
    }
}

fn text(string: &CStr) -> Cow<'_, str> {
    string.to_string_lossy()
}

/// What a ruleset is about: `files, TCP ports, abstract sockets, signals`.
fn kinds(handled: Handled) -> String {
    let scopes = handled.scopes;
    let kinds = [
        (!handled.files.is_empty(), "files"),
        (!handled.tcp.is_empty(), "TCP ports"),
        (
            scopes.contains(Scopes::ABSTRACT_SOCKETS),
            "abstract sockets",
        ),
        (scopes.contains(Scopes::SIGNALS), "signals"),
    ];
    let kinds = kinds.into_iter().filter(|(is, _)| *is);
    kinds.map(|(_, kind)| kind).collect::<Vec<_>>().join(", ")
}

fn verb(rights: Tcp) -> &'static str {
    match rights.contains(Tcp::BIND) {
        true => "bind",
        false => "connect to",
    }
}

fn words(access: Access) -> &'static str {
    match access {
        Access::ReadOnly => ", read-only",
        Access::ReadWrite => ", writable",
    }
}

fn with_devices(devices: bool) -> &'static str {
    if devices { ", with its devices" } else { "" }
}

fn at_most(size: Option<&CStr>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match size {
        Some(size) => write!(f, ", at most {} bytes", text(size)),
        None => Ok(()),
    }
}

fn forbidden(what: Attributes, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let words = [
        (Attributes::READ_ONLY, "to write"),
        (Attributes::NO_DEVICES, "devices"),
        (Attributes::NO_SUID, "set-user-id bits"),
        (Attributes::NO_EXEC, "to execute"),
    ];
    let mut before = " ";
    for (_, word) in words.into_iter().filter(|(one, _)| what.contains(*one)) {
        write!(f, "{before}{word}")?;
        before = ", ";
    }
    Ok(())
}

impl fmt::Display for Layering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (source, _)) in self.lowers.iter().rev().enumerate() {
            let over = if number > 0 { " over " } else { "" };
            write!(f, "{over}{source}")?;
        }
        Ok(())
    }
}

impl fmt::Display for LayeringUpper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str(", with all changes in memory"),
            Self::None => f.write_str(", read-only"),
            Self::Folder { upper, .. } => {
                write!(f, ", with all changes in {}", text(upper))
            }
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(open) => write!(f, "from {}", open.name),
            Self::Bytes(bytes) => write!(f, "of {} bytes", bytes.len()),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Open(open) => f.write_str(&open.name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => text(path).fmt(f),
            Self::Open(open) => f.write_str(&open.name),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) | Self::Kept(_, path) => text(path).fmt(f),
            Self::Open(open) => f.write_str(&open.name),
            Self::Tree(_, tree) => tree.fmt(f),
            Self::Within { place, .. } => write!(f, "{place} of the root"),
        }
    }
}

impl fmt::Display for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Fd(fd) => write!(f, "of descriptor {fd}"),
            Self::Open(open) => f.write_str(&open.name),
            Self::Pidfd(process) => write!(f, "of {}", process.name),
            Self::Process(pid) => write!(f, "of process {pid}"),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {} gid {}", self.uid, self.gid)?;
        match self.groups.as_deref() {
            None | Some([]) => Ok(()),
            Some(groups) => write!(f, " groups {groups:?}"),
        }
    }
}

impl fmt::Display for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lines {
            MapLines::FreeBlock => {
                let last = crate::ids::BLOCK - 1;
                write!(f, "0 to {last} are the reserved host ids")?;
            }
            MapLines::Known { uids, gids } => {
                f.write_str("uids")?;
                uids.iter().try_for_each(|line| write!(f, " {line}"))?;
                f.write_str(", gids")?;
                gids.iter().try_for_each(|line| write!(f, " {line}"))?;
            }
        }
        match self.writer {
            MapWriter::Helpers => f.write_str(" (by newuidmap and newgidmap)"),
            MapWriter::Child | MapWriter::Parent => Ok(()),
        }
    }
}

fn connect(f: &mut fmt::Formatter<'_>, connection: &Connection) -> fmt::Result {
    for (n, member) in connection.members.iter().enumerate() {
        let before = if n == 0 { "connect " } else { "; " };
        write!(f, "{before}{member}")?;
    }
    for publish in &connection.publish {
        write!(f, "; publish {publish}")?;
    }
    if let Some(allow) = &connection.allow {
        let places: usize = allow.iter().map(|place| place.addresses.len()).sum();
        write!(f, "; nothing else than {places} places can be reached")?;
    }
    if let Some(rate) = connection.rate {
        write!(f, "; {rate} each way")?;
    }
    if let Some(quota) = connection.quota {
        write!(f, "; {quota} bytes in all")?;
    }
    Ok(())
}
