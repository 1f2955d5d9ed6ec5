//! Where the process stops on its way, and who lets it go on.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::DumpableBehavior;
use warren_sys::{Errno, Result, signal};

use super::{Child, Failure, borrowed, close_all_but, exec};
use crate::gate::Answer;
use crate::report::Detail;
use crate::step::Step;

impl Child<'_> {
    /// Looks whether the program could be executed: at the gate nobody is there to be told.
    pub(super) fn check_program(&self) -> std::result::Result<(), Failure> {
        let program = self.with.steps.iter().find_map(|step| match step {
            Step::Exec(program) => Some(program),
            _ => None,
        });
        program.map_or(Ok(()), exec::check)
    }

    /// Ends the launch, and stays until the gate is opened: a message with a descriptor to
    /// answer on, and perhaps one for hooks to read.
    pub(super) fn await_gate(&mut self, gate: RawFd, kept: &[RawFd]) -> Result<()> {
        // A program that is executed into the container meanwhile shall not look into this
        // process, which is still Warren.
        rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        // Everybody may read the arguments, and they name what is the host's.
        // SAFETY: nothing in a child that walks its plan looks at them.
        unsafe { warren_sys::arguments::replace_arguments(c"warren-init") };
        signal::end_by(signal::SIGTERM);
        // With the pipe whose end tells the parent that it is here.
        close_all_but(kept);
        loop {
            match self.take_word(gate) {
                Ok(true) => return Ok(()),
                // Nobody who may open the gate sends anything else.
                Ok(false) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn take_word(&mut self, gate: RawFd) -> Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let into = &mut [IoSliceMut::new(&mut byte)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        rustix::net::recvmsg(borrowed(&gate), into, &mut control, flags)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(mut fds) = message {
                self.fds.answer = fds.next();
                self.fds.state = fds.next();
                self.fds.output = fds.next();
            }
        }
        Ok(self.fds.answer.is_some())
    }

    /// Tells who opened the gate that nothing came of it.
    pub(super) fn answer(
        &self,
        step: &Step,
        number: usize,
        errno: Errno,
        detail: Detail,
    ) {
        let Some(answer) = &self.fds.answer else {
            return;
        };
        let status = self.with.report.ended().unwrap_or(0);
        let record = Answer::of(step, number, errno, detail, status);
        // Who has gone meanwhile hears nothing.
        let _ = rustix::io::write(answer, &record.bytes());
    }

    /// Gives the caller its turn.
    pub(super) fn await_caller(&self) -> Result<()> {
        exec::await_answer(self.with.turn.ok_or(Errno::BADF)?)
    }
}
