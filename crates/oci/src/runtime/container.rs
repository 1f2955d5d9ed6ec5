//! One container, as a command finds it.

use std::cell::OnceCell;
use std::path::Path;

use serde::Serialize;
use warren_cgroups::{Frozen, Hierarchies};
use warren_namespaces::ProcRoot;
use warren_spawn::gate;

use super::error::Error;
use super::init::Init;
use super::record::{Record, Within};
use super::status::Status;
use super::store::{self, Folder, GATE, INIT};
use crate::config::{Config, VERSION};

/// A container that is there.
#[derive(Debug)]
pub struct Container {
    pub(super) folder: Folder,
    pub(super) proc: ProcRoot,
    pub(super) record: Record,
    /// The text that the record was read from, with the config.json in it.
    pub(super) text: String,
    /// Where control groups are mounted, once that was needed.
    pub(super) hierarchies: OnceCell<Hierarchies>,
}

impl Container {
    /// Reads it; `None` where there is no record.
    pub(super) fn read(folder: Folder, proc: ProcRoot) -> Result<Option<Self>, Error> {
        let Some(text) = folder.text()? else {
            return Ok(None);
        };
        let record = match store::record(&text, &folder.path) {
            // Whoever wrote it was killed before the end, and so before anything was made.
            Err(_) if folder.is_new => return Ok(None),
            record => record?,
        };
        Ok(Some(Self {
            folder,
            proc,
            record,
            text,
            hierarchies: OnceCell::new(),
        }))
    }

    /// What was written of it when it was made.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The config.json that it was made from.
    ///
    /// # Errors
    /// Where the record is broken.
    pub fn config(&self) -> Result<Config, Error> {
        let within: Result<Within, _> = serde_json::from_str(&self.text);
        let doing = || format!("read the state of container \"{}\"", self.record.id);
        within
            .map(|within| within.config)
            .map_err(|error| Error::new(format!("{}: {error}", doing())))
    }

    /// Its first process, if there ever was one.
    pub(super) fn init(&self) -> Option<Init> {
        let link = rustix::fs::readlinkat(&self.folder.fd, INIT, Vec::new()).ok()?;
        link.to_str().ok()?.parse().ok()
    }

    /// Its first process, if that has not ended.
    pub(super) fn living_init(&self) -> Option<Init> {
        self.init().filter(|init| init.is_alive(&self.proc))
    }

    /// The same, or what engines are told otherwise.
    pub(super) fn running_init(&self) -> Result<Init, Error> {
        self.living_init().ok_or_else(Error::not_running)
    }

    /// The number of its first process, if that has not ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.living_init().map(|init| init.pid)
    }

    /// How it is doing.
    ///
    /// # Errors
    /// Where the kernel does not say.
    pub fn status(&self) -> Result<Status, Error> {
        self.status_and_init().map(|(status, _)| status)
    }

    /// The same, and its first process if that has not ended.
    pub(super) fn status_and_init(&self) -> Result<(Status, Option<Init>), Error> {
        let init = self.living_init();
        let status = if init.is_none() {
            let is_being_made = self.folder.is_new && self.folder.is_locked();
            match is_being_made && self.init().is_none() {
                true => Status::Creating,
                false => Status::Stopped,
            }
        } else if self.folder.is_new {
            Status::Creating
        } else if self.record.gated && self.is_at_gate()? {
            Status::Created
        } else if self.is_frozen() {
            Status::Paused
        } else {
            Status::Running
        };
        Ok((status, init))
    }

    fn is_at_gate(&self) -> Result<bool, Error> {
        gate::is_held(&self.folder.short_path(GATE))
            .map_err(|errno| Error::errno("look at the gate of the container", errno))
    }

    fn is_frozen(&self) -> bool {
        let cgroup = self.cgroup().ok().flatten();
        cgroup.is_some_and(|cgroup| cgroup.frozen() != Frozen::No)
    }

    /// Writes which process it is: a link, which is there whole or not at all.
    pub(super) fn note_init(&self, init: Init) -> Result<(), Error> {
        rustix::fs::symlinkat(init.to_string().as_str(), &self.folder.fd, INIT)
            .map_err(|errno| Error::errno("note the process of the container", errno))
    }

    pub(super) fn forget_init(&self) {
        let _ = rustix::fs::unlinkat(&self.folder.fd, INIT, rustix::fs::AtFlags::empty());
    }

    /// Its state, as the specification has it, for hooks and for people.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub fn state(&self) -> Result<State<'_>, Error> {
        let status = self.status()?;
        Ok(self.state_as(status, self.pid()))
    }

    pub(super) fn state_as(&self, status: Status, pid: Option<u32>) -> State<'_> {
        let record = &self.record;
        State {
            oci_version: match record.oci_version.as_str() {
                "" => VERSION,
                version => version,
            },
            id: &record.id,
            pid: pid.filter(|_| status != Status::Stopped).unwrap_or(0),
            status: status.to_string(),
            bundle: &record.bundle,
            rootfs: &record.rootfs,
            created: &record.created,
            annotations: &record.annotations,
            owner: "",
        }
    }

    /// The same, cut where the number of the process goes, as who answers its system calls
    /// is told.
    pub(super) fn state_around_pid(&self) -> Option<[String; 2]> {
        const PID: &str = "\"pid\":";
        let text = self.state_text(Status::Creating, 0);
        let (head, tail) = text.split_once(&format!("{PID}0"))?;
        Some([format!("{head}{PID}"), tail.to_owned()])
    }

    /// The same, as hooks read it.
    pub(super) fn state_text(&self, status: Status, pid: u32) -> String {
        let state = self.state_as(status, Some(pid));
        // Strings and numbers: nothing that JSON cannot say.
        serde_json::to_string(&state).unwrap_or_default()
    }

    pub(super) fn bundle(&self) -> &Path {
        Path::new(&self.record.bundle)
    }
}

/// The state of a container: runtime.md.
#[derive(Debug, Serialize)]
pub struct State<'a> {
    /// The version of the specification that the container follows.
    #[serde(rename = "ociVersion")]
    pub oci_version: &'a str,
    /// Its name.
    pub id: &'a str,
    /// Its first process; 0 when that has ended.
    pub pid: u32,
    /// `creating`, `created`, `running`, `paused` or `stopped`.
    pub status: String,
    /// The folder that it was made of.
    pub bundle: &'a str,
    /// Its root.
    pub rootfs: &'a str,
    /// When it was made.
    pub created: &'a str,
    /// Words for others.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: &'a std::collections::BTreeMap<String, String>,
    /// Who made it, by name.
    pub owner: &'a str,
}
