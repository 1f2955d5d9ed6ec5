//! Clocks, processors, labels, and the filter whose calls somebody answers.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, IntoRawFd};

use rustix::fs::{Mode, OFlags};
use rustix::thread::CpuSet;
use warren_confine::Filter;
use warren_namespaces::Kind;
use warren_sys::{Errno, Result, SeccompFlags};

use super::Child;

impl Child<'_> {
    /// In the procfs of the caller, as who it is still.
    pub(super) fn open_time_offsets(&mut self) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        let path = c"self/timens_offsets";
        let file = rustix::fs::openat(self.with.proc, path, flags, Mode::empty())?;
        self.fds.time_offsets = Some(file);
        Ok(())
    }

    /// Offsets can be given to a time namespace as long as nobody is in it, so it is not
    /// made with the process, which enters it then: setns(2), as it has one thread.
    pub(super) fn time_namespace(&self, offsets: &CStr) -> Result<()> {
        let time = Kind::Time.clone_flag();
        warren_sys::unshare(time)?;
        let proc = self.with.proc;
        let file = self.fds.time_offsets.as_ref().ok_or(Errno::BADF)?;
        rustix::io::write(file, offsets.to_bytes())?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let path = c"self/ns/time_for_children";
        let namespace = rustix::fs::openat(proc, path, flags, Mode::empty())?;
        warren_sys::setns(namespace.as_fd(), time)
    }

    /// Writes to the files of this very process in a procfs that was checked to be one: a
    /// container's own could be something else (CVE-2025-52881).
    pub(super) fn ask_for_label(
        &self,
        [file, older]: &[CString; 2],
        label: &CStr,
    ) -> Result<()> {
        match super::write_below(self.with.proc, file, label.to_bytes()) {
            // KERNEL(5.8): each security module has a folder of its own since then.
            Err(Errno::NOENT) => {
                super::write_below(self.with.proc, older, label.to_bytes())
            }
            result => result,
        }
    }

    /// Once the filter holds, no call is sure to return before somebody answers, so the
    /// number of the listener is told through memory alone, and the parent takes it.
    pub(super) fn load_profile(
        &self,
        filter: &Filter,
        flags: SeccompFlags,
        listens: bool,
    ) -> Result<()> {
        if !listens {
            return filter.load_with(flags);
        }
        let listener = filter.load_listener(flags)?.into_raw_fd();
        self.with.report.hand_listener(listener)
    }
}

pub(super) fn set_affinity(words: &[u64]) -> Result<()> {
    let mut set = CpuSet::new();
    for (place, word) in words.iter().enumerate() {
        for bit in (0..u64::BITS as usize).filter(|bit| word >> bit & 1 == 1) {
            let processor = place * u64::BITS as usize + bit;
            if processor >= CpuSet::MAX_CPU {
                return Err(Errno::INVAL);
            }
            set.set(processor);
        }
    }
    rustix::thread::sched_setaffinity(None, &set)
}
