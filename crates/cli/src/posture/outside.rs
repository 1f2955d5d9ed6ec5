//! What stands outside of the run while it is tried to get there: files, sockets, a
//! process; all of it of the caller, and gone afterwards.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use serde::{Deserialize, Serialize};
use warren_namespaces::{Kind, io_error_text};

use super::probes::inherited::{is_callers, namespace};
use super::probes::processes::Stat;
use crate::failure::Failure;

/// What the probes are told of it. Nothing in it is worth keeping from a program inside.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outside {
    /// The process that started the run, and when it began.
    pub pid: u32,
    pub began: u64,
    pub group: i32,
    /// Whether its user is root of the machine.
    pub is_root: bool,
    /// `net:[4026531840]` and so on.
    pub namespaces: Vec<String>,
    /// The names of its variables, but for those that every run has.
    pub variables: Vec<String>,
    /// What the files begin with.
    pub token: String,
    pub files: Vec<String>,
    /// A unix socket that listens, in the first folder in which there can be one.
    pub socket: Option<String>,
    pub abstract_name: Option<String>,
    /// A port on 127.0.0.1.
    pub port: Option<u16>,
    /// The program's own descriptors above 2, which it fills in itself.
    #[serde(skip)]
    pub descriptors: Vec<String>,
}

impl Outside {
    /// The file that a probe tries to make.
    pub fn beside(file: &str) -> String {
        format!("{file}.made")
    }

    /// Whether the process outside can be named by its number.
    pub fn is_in_sight(&self) -> bool {
        let seen = Stat::of(&self.pid.to_string());
        is_callers(self, Kind::Pid) == Some(true)
            || seen.is_some_and(|stat| stat.began == self.began)
    }
}

/// The same with what has to be held open and taken away.
pub struct Stage {
    outside: Outside,
    /// What listens ends with them.
    _sockets: (
        Option<UnixListener>,
        Option<UnixListener>,
        Option<TcpListener>,
    ),
}

/// Names that every run has, or that tell of a language alone.
const HARMLESS: [&str; 5] = ["PATH", "HOME", "USER", "TERM", "LANG"];

impl Stage {
    /// Makes it all. What cannot be made is left out, and what needs it is not known.
    pub fn set_up() -> Result<Self, Failure> {
        let token = token()?;
        let own = Stat::own()
            .ok_or_else(|| Failure::new("read /proc/self/stat: it makes no sense"))?;
        let mut stage = Self {
            outside: Outside {
                pid: std::process::id(),
                began: own.began,
                group: own.group,
                is_root: rustix::process::geteuid().is_root(),
                namespaces: Kind::ALL.into_iter().filter_map(namespace).collect(),
                variables: variables(),
                ..Outside::default()
            },
            _sockets: (None, None, None),
        };
        let name = format!(".warren-posture.{token}");
        for folder in folders() {
            let file = format!("{folder}/{name}");
            if make(&file, &token).is_ok() {
                stage.outside.files.push(file);
            }
        }
        stage.outside.token = token;
        stage.listen(&name);
        Ok(stage)
    }

    fn listen(&mut self, name: &str) {
        let outside = &mut self.outside;
        for file in &outside.files {
            let path = format!("{file}.socket");
            if let Ok(listener) = UnixListener::bind(&path) {
                outside.socket = Some(path);
                self._sockets.0 = Some(listener);
                break;
            }
        }
        let address = SocketAddr::from_abstract_name(name);
        if let Ok(listener) =
            address.and_then(|address| UnixListener::bind_addr(&address))
        {
            outside.abstract_name = Some(name.to_owned());
            self._sockets.1 = Some(listener);
        }
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)) {
            outside.port = listener.local_addr().ok().map(|address| address.port());
            self._sockets.2 = Some(listener);
        }
    }

    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// The files that are not as they were made, or have one beside them.
    pub fn changed(&self) -> Vec<&str> {
        let Outside { files, token, .. } = &self.outside;
        let is_changed = |file: &&String| {
            fs::read_to_string(file).ok().as_deref() != Some(token.as_str())
                || fs::symlink_metadata(Outside::beside(file)).is_ok()
        };
        let changed = files.iter().filter(is_changed);
        changed.map(String::as_str).collect()
    }

    /// Takes it all away.
    pub fn take_down(mut self) -> Result<(), Failure> {
        self.remove()
    }

    fn remove(&mut self) -> Result<(), Failure> {
        let files = std::mem::take(&mut self.outside.files);
        let made = files.iter().map(|file| Outside::beside(file));
        let socket = self.outside.socket.take();
        let mut result = Ok(());
        for path in files.iter().cloned().chain(made).chain(socket) {
            if let Err(error) = fs::remove_file(&path)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                let text = io_error_text(&error);
                result = Err(Failure::new(format!("remove {path}: {text}")));
            }
        }
        result
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Something else has failed already, and is told.
        let _ = self.remove();
    }
}

/// Nobody else's name, and nothing that is found in other files.
fn token() -> Result<String, Failure> {
    let mut bytes = [0_u8; 12];
    let flags = rustix::rand::GetRandomFlags::empty();
    rustix::rand::getrandom(&mut bytes, flags).map_err(|errno| {
        let text = warren_namespaces::errno_text(errno);
        Failure::new(format!("get random bytes: {text}"))
    })?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where people keep what is theirs, and where everybody may write.
fn folders() -> Vec<String> {
    let home = std::env::var_os("HOME").and_then(|home| home.into_string().ok());
    let home = home.filter(|home| home.starts_with('/'));
    let mut folders: Vec<String> = home.into_iter().collect();
    folders.extend(["/tmp", "/dev/shm"].map(str::to_owned));
    folders
}

/// A file that the caller alone may read.
fn make(path: &str, token: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(token.as_bytes())
}

fn variables() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(key, _)| key.into_string().ok());
    let tells =
        |key: &String| !HARMLESS.contains(&key.as_str()) && !key.starts_with("LC_");
    names.filter(tells).collect()
}
