//! Which security modules give programs labels here.

use std::fs;
use std::path::Path;

/// Whether AppArmor is active.
#[must_use]
pub fn apparmor_is_enabled() -> bool {
    let file = "/sys/module/apparmor/parameters/enabled";
    fs::read_to_string(file).is_ok_and(|text| text.starts_with('Y'))
}

/// Whether SELinux is active: its filesystem is there then alone.
#[must_use]
pub fn selinux_is_enabled() -> bool {
    const SELINUX_MAGIC: rustix::fs::FsWord = 0xf97c_ff8c;
    let folder = Path::new("/sys/fs/selinux");
    rustix::fs::statfs(folder).is_ok_and(|found| found.f_type == SELINUX_MAGIC)
}
