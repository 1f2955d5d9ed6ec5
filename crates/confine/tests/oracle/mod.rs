//! libseccomp behind a pipe, the calls that are put to both programs, and profiles.

mod edges;
mod random;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub use edges::Edges;
pub use random::Random;
use warren_confine::CapabilitySet;
use warren_confine::seccomp::oci::{Seccomp, Syscall, Target, Template};
use warren_confine::seccomp::{Architecture, table};
use warren_sys::BpfInstruction;
pub use warren_testkit::bpf::{Call, interpret};

/// The native call of that name.
pub fn native(name: &str, arguments: &[u64]) -> Call {
    let native = Architecture::NATIVE;
    let call = table::Call::find(name).expect(name);
    Call::new(native.audit(), call.number(native).expect(name), arguments)
}

/// A C program beside this file, compiled.
fn compiled(name: &str, libraries: &[&str], packages: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR"));
    // Tests run at the same time, and none may execute what another writes.
    let nonce = format!("{name}-{:?}", std::thread::current().id());
    let binary = binary.join(nonce.replace(['(', ')'], ""));
    let output = Command::new("cc")
        .args(["-O2", "-o"])
        .arg(&binary)
        .arg(source.join(name).with_extension("c"))
        .args(libraries)
        .output()
        .unwrap_or_else(|error| panic!("cc: {error}; on Debian: apt-get install gcc"));
    assert!(
        output.status.success(),
        "on Debian: apt-get install {packages}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    binary
}

/// A program that asks libseccomp.
pub struct Oracle {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    agreed: HashMap<&'static str, bool>,
}

/// What libseccomp made.
pub struct Theirs {
    /// How many rules it refused.
    pub refused: u32,
    /// How long it took.
    pub microseconds: u32,
    /// The program.
    pub program: Vec<BpfInstruction>,
}

impl Oracle {
    pub fn start() -> Self {
        let binary = compiled("libseccomp", &["-lseccomp"], "gcc libseccomp-dev");
        let mut child = Command::new(&binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the oracle");
        std::fs::remove_file(binary).expect("remove the oracle");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("its output"));
        Self {
            child,
            input,
            output,
            agreed: HashMap::new(),
        }
    }

    fn write(&mut self, text: &str) {
        let input = self.input.as_mut().expect("open until the end");
        input.write_all(text.as_bytes()).expect("write");
        input.flush().expect("write");
    }

    fn word(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.output.read_exact(&mut bytes).expect("an answer");
        u32::from_ne_bytes(bytes)
    }

    /// The numbers of a call on each architecture, as libseccomp gives them.
    pub fn numbers(&mut self, name: &str) -> [i32; 5] {
        self.write(&format!("name {name}\n"));
        [(); 5].map(|()| self.word() as i32)
    }

    /// The profile without the names that this libseccomp is too old for.
    pub fn without_newer(&mut self, profile: &Seccomp) -> Seccomp {
        let mut profile = profile.clone();
        for syscall in &mut profile.syscalls {
            syscall.names.retain(|name| {
                let call = table::Call::find(name);
                call.is_none_or(|call| self.agrees(call))
            });
        }
        profile
    }

    /// Whether libseccomp has the same number of `call`, or none, on each architecture.
    /// For what i386 multiplexes it has none.
    pub fn agrees(&mut self, call: table::Call) -> bool {
        if let Some(known) = self.agreed.get(call.name()) {
            return *known;
        }
        let theirs = self.numbers(call.name());
        let agrees = Architecture::ALL
            .into_iter()
            .zip(theirs)
            .all(|(one, theirs)| {
                let theirs = u32::try_from(theirs).ok();
                let is_way = one == Architecture::I386 && call.multiplexed().is_some();
                is_way || theirs == call.number(one)
            });
        self.agreed.insert(call.name(), agrees);
        agrees
    }

    pub fn compile(&mut self, profile: &Seccomp) -> Theirs {
        self.write(&as_lines(profile));
        let (refused, microseconds) = (self.word(), self.word());
        let length = self.word();
        let program = (0..length).map(|_| self.instruction()).collect();
        Theirs {
            refused,
            microseconds,
            program,
        }
    }

    fn instruction(&mut self) -> BpfInstruction {
        let (code, k) = (self.word(), self.word());
        let [low, high, jump_true, jump_false] = code.to_ne_bytes();
        BpfInstruction {
            code: u16::from_ne_bytes([low, high]),
            jump_true,
            jump_false,
            k,
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Its end of file.
        self.input = None;
        self.child.wait().expect("the oracle ends");
    }
}

fn as_lines(profile: &Seccomp) -> String {
    let mut text = String::new();
    let number = profile.default_errno_ret.unwrap_or(1);
    writeln!(text, "default {} {number}", profile.default_action).expect("a String");
    for name in &profile.architectures {
        if !name.contains("MIPS") {
            writeln!(text, "architecture {name}").expect("a String");
        }
    }
    for syscall in &profile.syscalls {
        for name in &syscall.names {
            let number = syscall.errno_ret.unwrap_or(1);
            write!(text, "rule {} {number} {name}", syscall.action).expect("a String");
            for arg in &syscall.args {
                let (index, op) = (arg.index, &arg.op);
                let (value, two) = (arg.value, arg.value_two);
                write!(text, " {index} {op} {value:#x} {two:#x}").expect("a String");
            }
            text.push('\n');
        }
    }
    text.push_str("end\n");
    text
}

/// podman's default profile, as Debian installs it.
pub fn podman(capabilities: CapabilitySet, kernel: (u32, u32)) -> Seccomp {
    let path = "/usr/share/containers/seccomp.json";
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| {
        panic!(
            "{path}: {error}; on Debian: apt-get install golang-github-containers-common"
        )
    });
    let target = Target {
        capabilities,
        architecture: Architecture::X86_64,
        kernel,
    };
    let template = Template::parse(&text).expect("podman's profile");
    template.render(&target).expect("podman's profile")
}

/// systemd's groups of calls.
pub fn systemd() -> Vec<(String, Vec<String>)> {
    let output = Command::new("systemd-analyze")
        .arg("syscall-filter")
        .output()
        .unwrap_or_else(|error| {
            panic!("systemd-analyze: {error}; on Debian: apt-get install systemd")
        });
    let text = String::from_utf8(output.stdout).expect("text");
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("    ") {
            None if line.starts_with('@') => groups.push((line.to_owned(), Vec::new())),
            Some(name) if !name.starts_with(['#', '@']) => {
                if let Some((_, calls)) = groups.last_mut() {
                    calls.push(name.to_owned());
                }
            }
            _ => {}
        }
    }
    groups.retain(|(_, calls)| !calls.is_empty());
    groups
}

/// Puts calls to the kernel, in processes under the filter, and compares.
pub fn assert_kernel_agrees(program: &[BpfInstruction]) {
    let binary = compiled("calls", &[], "gcc libc6-dev");
    let mut text = format!("{}\n", program.len());
    for one in program {
        let (jump_true, jump_false) = (one.jump_true, one.jump_false);
        writeln!(text, "{} {jump_true} {jump_false} {}", one.code, one.k)
            .expect("a String");
    }
    // Arguments that do nothing where the call is allowed: no descriptor, no address.
    let harmless: Vec<_> = table::Call::all()
        .filter(|call| !HARMFUL.contains(&call.name()))
        .filter_map(|call| call.number(Architecture::NATIVE))
        .collect();
    for number in &harmless {
        writeln!(text, "{number}").expect("a String");
    }
    let mut child = Command::new(&binary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the calls");
    std::fs::remove_file(binary).expect("remove the program");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(text.as_bytes()).expect("write");
    drop(input);
    let output = BufReader::new(child.stdout.take().expect("its output"));
    let mut compared = [0; 2];
    for line in output.lines() {
        let line = line.expect("a line");
        let words: Vec<i64> = line
            .split(' ')
            .map(|word| word.parse().expect("a number"))
            .collect();
        let number = u32::try_from(words[0]).expect("a call");
        let arguments = [u64::MAX; 6];
        let call = Call::new(Architecture::NATIVE.audit(), number, &arguments);
        let (code, _) = interpret(program, &call);
        match code {
            0x7fff_0000 => assert_ne!(words[1], 999, "{call:x?}"),
            _ => assert_eq!(words[1], i64::from(code & 0xffff), "{call:x?} {code:#x}"),
        }
        compared[usize::from(code == 0x7fff_0000)] += 1;
    }
    assert!(child.wait().expect("the calls end").success());
    assert!(compared[0] > 50 && compared[1] > 150, "{compared:?}");
    assert_eq!(compared[0] + compared[1], harmless.len());
}

/// Calls that do something whatever their arguments, or do not return.
const HARMFUL: &[&str] = &[
    "clone",
    "exit",
    "exit_group",
    "fork",
    "kill",
    "pause",
    "rt_sigreturn",
    "sync",
    "tkill",
    "vfork",
    "vhangup",
    "sigreturn",
    "munlockall",
    "umask",
    "sigsuspend",
    "alarm",
    "setsid",
    "sched_yield",
    "restart_syscall",
    "uretprobe",
    "rt_sigsuspend",
    "reboot",
    "syslog",
    "setuid",
    "arch_prctl",
    "mlockall",
    "process_madvise",
];

/// The calls of `syscall`, by number.
fn numbers(syscall: &Syscall, architecture: Architecture) -> Vec<u32> {
    let calls = syscall
        .names
        .iter()
        .filter_map(|name| table::Call::find(name));
    calls
        .flat_map(|call| {
            let way = (architecture == Architecture::I386).then(|| call.multiplexed());
            let way = way.flatten().map(|way| way.number);
            [call.number(architecture), way]
        })
        .flatten()
        .collect()
}
