//! Attaching a program that guards device files to a v2 group.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use warren_sys::bpf;

/// By which our own programs are told from systemd's.
const NAME: &str = "warren_devices";

/// Loads a program and attaches it in place of the one that was ours before. Between both
/// the two hold: a device is open only where each allows it.
pub fn attach(folder: &OwnedFd, program: &[u64]) -> Result<(), Errno> {
    let before = bpf::attached_device_programs(folder, NAME)?;
    let program = bpf::load_device_program(program, NAME)?;
    bpf::attach_device_program(folder, &program)?;
    for old in before {
        bpf::detach_device_program(folder, &old)?;
    }
    Ok(())
}
