//! What criu is asked for: `criu_req` and `criu_opts` of its rpc.proto.

use super::wire::Message;

/// `criu_req_type`
const DUMP: u64 = 1;
const RESTORE: u64 = 2;
const NOTIFY: u64 = 6;
const FEATURE_CHECK: u64 = 9;
const VERSION: u64 = 10;
const SINGLE_PRE_DUMP: u64 = 13;

/// The name of a type of request.
pub fn name(kind: u64) -> &'static str {
    const NAMES: [&str; 14] = [
        "EMPTY",
        "DUMP",
        "RESTORE",
        "CHECK",
        "PRE_DUMP",
        "PAGE_SERVER",
        "NOTIFY",
        "CPUINFO_DUMP",
        "CPUINFO_CHECK",
        "FEATURE_CHECK",
        "VERSION",
        "WAIT_PID",
        "PAGE_SERVER_CHLD",
        "SINGLE_PRE_DUMP",
    ];
    let name = usize::try_from(kind).ok().and_then(|kind| NAMES.get(kind));
    name.copied().unwrap_or("UNKNOWN")
}

/// Where pages are written to, instead of into files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageServer {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: u16,
}

/// How much of control groups is written down and brought back: criu(8),
/// `--manage-cgroups`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupMode {
    /// Nothing.
    Ignore,
    /// Those that are missing are made, with their settings.
    #[default]
    Soft,
    /// Settings are brought back too.
    Full,
    /// None may be there.
    Strict,
}

impl CgroupMode {
    const fn number(self) -> u64 {
        match self {
            Self::Ignore => 0,
            Self::Soft => 3,
            Self::Full => 4,
            Self::Strict => 5,
        }
    }
}

/// What of criu, or of the kernel, is not there everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Which pages were written since the last time.
    pub memory_tracking: bool,
    /// Pages that come when they are touched.
    pub lazy_pages: bool,
}

/// `criu_opts`: how it is done.
#[derive(Clone, Debug, Default)]
pub struct Options(Message);

impl Options {
    /// A descriptor of the caller's: a folder for images.
    pub fn images(&mut self, fd: i32) -> &mut Self {
        self.signed(1, fd)
    }

    pub fn pid(&mut self, pid: u32) -> &mut Self {
        self.0.number(2, pid.into());
        self
    }

    pub fn leave_running(&mut self, yes: bool) -> &mut Self {
        self.flag(3, yes)
    }

    pub fn ext_unix_sk(&mut self, yes: bool) -> &mut Self {
        self.flag(4, yes)
    }

    pub fn tcp_established(&mut self, yes: bool) -> &mut Self {
        self.flag(5, yes)
    }

    pub fn shell_job(&mut self, yes: bool) -> &mut Self {
        self.flag(7, yes)
    }

    pub fn file_locks(&mut self, yes: bool) -> &mut Self {
        self.flag(8, yes)
    }

    /// A file in the folder for work, with all that it has to say but for debugging.
    pub fn log(&mut self, name: &str) -> &mut Self {
        const DEBUG: u64 = 4;
        self.0.number(9, DEBUG).text(10, name);
        self
    }

    pub fn page_server(&mut self, server: &PageServer) -> &mut Self {
        let mut message = Message::default();
        message
            .text(1, &server.address)
            .number(2, server.port.into());
        self.0.message(11, &message);
        self
    }

    /// It asks back at each stage.
    pub fn notices(&mut self) -> &mut Self {
        self.flag(12, true)
    }

    /// The root of the container, on the host.
    pub fn root(&mut self, path: &str) -> &mut Self {
        self.0.text(13, path);
        self
    }

    pub fn parent(&mut self, path: &str) -> &mut Self {
        self.0.text(14, path);
        self.track_memory()
    }

    pub fn track_memory(&mut self) -> &mut Self {
        self.flag(15, true)
    }

    pub fn auto_dedup(&mut self, yes: bool) -> &mut Self {
        self.flag(16, yes)
    }

    /// A descriptor of the caller's: the folder for work.
    pub fn work(&mut self, fd: i32) -> &mut Self {
        self.signed(17, fd)
    }

    pub fn link_remap(&mut self, yes: bool) -> &mut Self {
        self.flag(18, yes)
    }

    /// A mount of the host's: when written down its place and its name, when brought back its
    /// name and what is mounted.
    pub fn external_mount(&mut self, key: &str, value: &str) -> &mut Self {
        self.0.message(23, &pair(key, value));
        self
    }

    pub fn cgroups(&mut self, mode: CgroupMode) -> &mut Self {
        self.0.flag(24, true).number(34, mode.number());
        self
    }

    /// Where the groups of one controller, or all of v2, are brought back.
    pub fn cgroup_root(&mut self, controller: &str, path: &str) -> &mut Self {
        self.0.message(25, &pair(controller, path));
        self
    }

    /// What is brought back is the caller's child.
    pub fn callers_child(&mut self) -> &mut Self {
        self.flag(26, true)
    }

    /// Something is a descriptor that criu has, and not what the images say.
    pub fn inherit(&mut self, key: &str, fd: i32) -> &mut Self {
        let mut message = Message::default();
        message.text(1, key).signed(2, fd);
        self.0.message(27, &message);
        self
    }

    /// Something outside, as `net[INODE]:NAME`.
    pub fn external(&mut self, what: &str) -> &mut Self {
        self.0.text(37, what);
        self
    }

    /// Kinds of namespace, as flags of clone(2), of which the content is left out.
    pub fn empty_namespaces(&mut self, flags: u64) -> &mut Self {
        match flags {
            0 => {}
            flags => drop(self.0.number(38, flags)),
        }
        self
    }

    pub fn join(&mut self, kind: &str, path: &str) -> &mut Self {
        self.0.message(39, &pair(kind, path));
        self
    }

    /// The group by which all is stopped.
    pub fn freezer(&mut self, path: &str) -> &mut Self {
        self.0.text(44, path);
        self
    }

    pub fn tcp_skip_in_flight(&mut self, yes: bool) -> &mut Self {
        self.flag(46, yes)
    }

    pub fn lazy_pages(&mut self, yes: bool) -> &mut Self {
        self.flag(48, yes)
    }

    /// A descriptor of the caller's, to which a zero is written when pages can be asked for.
    pub fn status(&mut self, fd: i32) -> &mut Self {
        self.signed(49, fd)
    }

    /// The other end of a terminal is handed over.
    pub fn orphan_terminals(&mut self) -> &mut Self {
        self.flag(50, true)
    }

    /// A file of criu's with options, which need not be there.
    pub fn settings(&mut self, path: &str) -> &mut Self {
        self.0.text(51, path);
        self
    }

    pub fn lsm_profile(&mut self, profile: &str) -> &mut Self {
        self.0.text(53, profile);
        self
    }

    pub fn lsm_mount_context(&mut self, context: &str) -> &mut Self {
        self.0.text(63, context);
        self
    }

    fn flag(&mut self, field: u32, yes: bool) -> &mut Self {
        self.0.flag(field, yes);
        self
    }

    fn signed(&mut self, field: u32, value: i32) -> &mut Self {
        self.0.signed(field, value);
        self
    }
}

fn pair(first: &str, second: &str) -> Message {
    let mut message = Message::default();
    message.text(1, first).text(2, second);
    message
}

/// `criu_req`.
#[derive(Clone, Debug)]
pub struct Request(Message);

impl Request {
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub fn dump(options: &Options) -> Self {
        Self::with(DUMP, options)
    }

    pub fn pre_dump(options: &Options) -> Self {
        Self::with(SINGLE_PRE_DUMP, options)
    }

    pub fn restore(options: &Options) -> Self {
        Self::with(RESTORE, options)
    }

    /// The answer to a question.
    pub fn heeded(success: bool) -> Self {
        let mut message = Message::default();
        message.number(1, NOTIFY).number(3, success.into());
        Self(message)
    }

    pub fn version() -> Self {
        Self(Self::first(VERSION))
    }

    pub fn features(wanted: Features) -> Self {
        let mut asked = Message::default();
        asked
            .flag(1, wanted.memory_tracking)
            .flag(2, wanted.lazy_pages);
        let mut message = Self::first(FEATURE_CHECK);
        message.message(5, &asked);
        Self(message)
    }

    /// One after which others come.
    fn first(kind: u64) -> Message {
        let mut message = Message::default();
        message.number(1, kind).flag(4, true);
        message
    }

    fn with(kind: u64, options: &Options) -> Self {
        let mut message = Message::default();
        message.number(1, kind).message(2, &options.0);
        Self(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_rpc_proto_numbers_it() {
        let mut options = Options::default();
        options
            .images(7)
            .pid(12)
            .leave_running(false)
            .log("dump.log")
            .root("/r")
            .external_mount("/a", "/b")
            .empty_namespaces(0x4000_0000)
            .inherit("pipe:[9]", 1);
        let expected = b"\x08\x01\x12\x3e\x08\x07\x10\x0c\x48\x04R\x08dump.log\
            j\x02/r\xba\x01\x08\n\x02/a\x12\x02/b\
            \xb0\x02\x80\x80\x80\x80\x04\xda\x01\x0c\n\x08pipe:[9]\x10\x01";
        let mut expected = expected.to_vec();
        expected[3] = (expected.len() - 4) as u8;
        assert_eq!(Request::dump(&options).bytes(), expected);
        // As runc sends it.
        assert_eq!(Request::heeded(true).bytes(), b"\x08\x06\x18\x01");
        assert_eq!(Request::heeded(false).bytes(), b"\x08\x06\x18\x00");
        assert_eq!(name(2), "RESTORE");
        assert_eq!(name(99), "UNKNOWN");
    }

    #[test]
    fn a_mode_that_is_zero_is_said_all_the_same() {
        let mut options = Options::default();
        options.cgroups(CgroupMode::Ignore);
        let bytes = Request::dump(&options);
        assert_eq!(bytes.bytes(), b"\x08\x01\x12\x06\xc0\x01\x01\x90\x02\x00");
    }
}
