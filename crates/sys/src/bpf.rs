//! bpf(2), as far as a program that guards the device files of a cgroup needs it.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::{Errno, Result, check};

/// linux/bpf.h: commands of bpf(2).
const PROG_LOAD: i32 = 5;
const PROG_ATTACH: i32 = 8;
const PROG_DETACH: i32 = 9;
const PROG_GET_FD_BY_ID: i32 = 13;
const OBJ_GET_INFO_BY_FD: i32 = 15;
const PROG_QUERY: i32 = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// The most programs that one group is asked for; the kernel has 64 at most.
const PROGRAMS: usize = 64;

/// `union bpf_attr`, as `BPF_PROG_LOAD` has it, up to the name.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instructions: u32,
    program: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// The same of `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

/// The same of `BPF_PROG_QUERY`.
#[repr(C)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
}

/// The same of `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// The same of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct Info {
    fd: u32,
    length: u32,
    info: u64,
}

/// `struct bpf_prog_info`, up to the name.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lengths: [u32; 2],
    instructions: [u64; 2],
    load_time: u64,
    user: u32,
    maps: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// `bpf(BPF_PROG_LOAD)`: has the kernel verify and take a `BPF_PROG_TYPE_CGROUP_DEVICE`.
/// The name is cut to fifteen bytes. See bpf(2).
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN` in the first user namespace, `EINVAL` or
/// `EACCES` where the verifier refuses the program.
pub fn load_device_program(program: &[u64], name: &str) -> Result<OwnedFd> {
    let mut attr = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        instructions: program.len() as u32,
        program: program.as_ptr() as u64,
        license: c"".as_ptr() as u64,
        ..Load::default()
    };
    copy_name(&mut attr.name, name);
    // SAFETY: `program` and the licence outlive the call, which only reads them, the former
    // as many instructions as are told.
    let fd = unsafe { call(PROG_LOAD, &mut attr) }?;
    // SAFETY: the kernel has just opened it for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `bpf(BPF_PROG_ATTACH, BPF_F_ALLOW_MULTI)`: a device file can then be opened only if this
/// program allows it too.
///
/// # Errors
/// `EPERM` without the capabilities, or where a group above forbids more than one.
pub fn attach_device_program(cgroup: impl AsFd, program: &OwnedFd) -> Result<()> {
    let mut attr = Attach {
        target: cgroup.as_fd().as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: it has no pointer.
    unsafe { call(PROG_ATTACH, &mut attr) }.map(drop)
}

/// `bpf(BPF_PROG_DETACH)`.
///
/// # Errors
/// `ENOENT` where it is not attached there.
pub fn detach_device_program(cgroup: impl AsFd, program: &OwnedFd) -> Result<()> {
    let mut attr = Attach {
        target: cgroup.as_fd().as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        flags: 0,
    };
    // SAFETY: it has no pointer.
    unsafe { call(PROG_DETACH, &mut attr) }.map(drop)
}

/// The programs of this name that are attached to a group itself: `BPF_PROG_QUERY`.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` or `CAP_BPF`.
pub fn attached_device_programs(cgroup: impl AsFd, name: &str) -> Result<Vec<OwnedFd>> {
    let mut ids = [0u32; PROGRAMS];
    let mut attr = Query {
        target: cgroup.as_fd().as_raw_fd() as u32,
        kind: CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: PROGRAMS as u32,
        padding: 0,
    };
    // SAFETY: `ids` has room for as many as are told, and outlives the call.
    unsafe { call(PROG_QUERY, &mut attr) }?;
    let mut wanted = [0; 16];
    copy_name(&mut wanted, name);
    let mut programs = Vec::new();
    for id in ids.iter().take(attr.count as usize) {
        let program = match open_program(*id) {
            // It was detached meanwhile.
            Err(Errno::NOENT) => continue,
            program => program?,
        };
        if name_of(&program)? == wanted {
            programs.push(program);
        }
    }
    Ok(programs)
}

fn open_program(id: u32) -> Result<OwnedFd> {
    let mut attr = ById {
        id,
        next: 0,
        flags: 0,
    };
    // SAFETY: it has no pointer.
    let fd = unsafe { call(PROG_GET_FD_BY_ID, &mut attr) }?;
    // SAFETY: the kernel has just opened it for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn name_of(program: &OwnedFd) -> Result<[u8; 16]> {
    let mut info = ProgramInfo::default();
    let mut attr = Info {
        fd: program.as_raw_fd() as u32,
        length: size_of::<ProgramInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `info` has as many bytes as are told, all zero, and outlives the call; any
    // bytes are a value of it.
    unsafe { call(OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(info.name)
}

/// The last byte stays zero.
fn copy_name(to: &mut [u8; 16], name: &str) {
    for (to, from) in to[..15].iter_mut().zip(name.bytes()) {
        *to = from;
    }
}

/// # Safety
/// What `attr` points to must be as the command takes it, and `T` must be the beginning of
/// what `union bpf_attr` is for the command.
unsafe fn call<T>(command: i32, attr: &mut T) -> Result<i32> {
    // SAFETY: `attr` has the size that is told; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    check(result).map(|value| value as i32)
}
