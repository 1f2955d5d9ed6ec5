//! Of what is done as it is told, property by property.

use warren_sys::Errno;

use crate::step::Step;

/// Whether [`hints`] knows the step.
pub fn is_of_them(step: &Step) -> bool {
    matches!(
        step,
        Step::MountTree { .. }
            | Step::RootDetailed { .. }
            | Step::CloneDetailed { .. }
            | Step::MountFilesystem { .. }
            | Step::Cgroups { .. }
            | Step::DeviceFiles { .. }
            | Step::Device { .. }
            | Step::TimeNamespace { .. }
            | Step::Scheduler(_)
            | Step::IoPriority(_)
            | Step::MemoryPolicy(_)
            | Step::Label { .. }
            | Step::LoadProfileFirst { .. }
            | Step::ConnectListener(_)
            | Step::MoveInterface { .. }
    )
}

/// Why, and the way out.
pub fn hints(step: &Step, errno: Errno) -> Vec<String> {
    reason(step, errno).into_iter().map(str::to_owned).collect()
}

fn reason(step: &Step, errno: Errno) -> Option<&'static str> {
    Some(match (step, errno) {
        (Step::MountTree { .. } | Step::MountFilesystem { .. }, Errno::ACCESS) => {
            "the container's root may not make the place: who owns the files around it?"
        }
        (Step::MountTree { .. } | Step::MountFilesystem { .. }, Errno::NOTSUP) => {
            "inside of a procfs nothing else may be mounted, but over a few files"
        }
        (Step::MountFilesystem { new, .. }, Errno::LOOP | Errno::NOTDIR)
            if new.is_of_kernel =>
        {
            "a procfs or sysfs goes on a folder: in the root there is a symlink or file"
        }
        (Step::DeviceFiles { .. }, Errno::LOOP | Errno::NOTDIR) => {
            "/dev of the root is no folder: what is made there would be elsewhere"
        }
        (Step::MountFilesystem { .. }, Errno::INVAL) => {
            "the filesystem has no such option, or not such a value (see dmesg)"
        }
        (Step::MountFilesystem { .. }, Errno::NODEV) => {
            "the kernel has no such filesystem: see /proc/filesystems"
        }
        (Step::MountFilesystem { .. } | Step::Cgroups { .. }, Errno::PERM) => {
            "the user namespace may not mount it: it needs a namespace of its own for what it \
             shows, of which nothing is covered"
        }
        (
            Step::MountTree { .. } | Step::MountFilesystem { .. } | Step::Device { .. },
            Errno::ROFS | Errno::NOENT,
        ) => "the place must exist there already, since it cannot be made",
        (Step::MountTree { .. }, Errno::NOTDIR | Errno::ISDIR) => {
            "a folder goes on a folder, any other file on a file"
        }
        (Step::CloneDetailed { ids: Some(_), .. }, Errno::INVAL) => {
            "its filesystem has no idmapped mounts, or the kernel is older than Linux 5.12"
        }
        (Step::CloneDetailed { ids: Some(_), .. }, Errno::PERM) => {
            "other owners for files take CAP_SYS_ADMIN where the filesystem was mounted"
        }
        (Step::Device { .. }, Errno::PERM) => {
            "no device can be made in a user namespace, and the host has not this one there"
        }
        (Step::TimeNamespace { .. }, Errno::RANGE) => {
            "with this offset the clock would be below 0, or wrap"
        }
        (Step::Scheduler(_), Errno::PERM) => {
            "it takes CAP_SYS_NICE, and for real time a budget of the control group \
             (cpu.rt_runtime_us)"
        }
        (Step::Scheduler(_), Errno::INVAL) => {
            "the policy does not take such a priority, flag or time"
        }
        (Step::IoPriority(_), Errno::PERM) => {
            "the real-time class takes CAP_SYS_NICE or CAP_SYS_ADMIN on the host"
        }
        (Step::MemoryPolicy(_), Errno::INVAL) => {
            "the machine has not these nodes, or the mode takes none"
        }
        (Step::Label { .. }, Errno::NOENT | Errno::INVAL) => {
            "the security module is not active, or has no such profile or label"
        }
        (Step::LoadProfileFirst { .. }, Errno::ACCESS) => {
            "without no_new_privs a filter takes CAP_SYS_ADMIN"
        }
        (Step::ConnectListener(_), _) => {
            "somebody must listen there, who answers the system calls"
        }
        (Step::MoveInterface { .. }, Errno::NODEV) => {
            "there is no interface of this name"
        }
        (Step::MoveInterface { .. }, Errno::EXIST) => "inside there is one of this name",
        (Step::MoveInterface { .. }, Errno::INVAL) => {
            "it is bound to its network namespace, as lo is"
        }
        _ => return None,
    })
}
