//! `cargo xtask vm`: the end-to-end tests under cgroup v2, systemd and AppArmor, and those
//! that need a newer kernel in a second guest.
//!
//! A Debian tree is made once for each guest and kept under target/vm. Each run boots it
//! with a second disk that has the binaries, and reads the results from the serial console.
//! Software emulation will do: no KVM is asked for.

mod disk;
mod guest;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::command::{repository, require};
use crate::tally::Tally;
use crate::test::Binaries;
use crate::{Failure, Result};
use disk::Image;
use guest::{Guest, NEWER, USUAL};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only the guest with the newer kernel, and its tests
    #[arg(long)]
    newer: bool,
    /// Only tests whose name contains this
    filters: Vec<String>,
}

/// Runs the tests in the machine; true if all passed.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let guests: &[Guest] = if arguments.newer {
        &[NEWER]
    } else {
        &[USUAL, NEWER]
    };
    let tally = test_some(guests, &arguments.filters, &Binaries::build()?)?;
    println!("{tally}");
    Ok(tally.is_good())
}

/// The suites for which cgroup v2, systemd or AppArmor make a difference, and what only the
/// newer kernel has. An emulated machine takes a second for what takes 20 ms elsewhere, and
/// its util-linux is not the one that the others are compared with.
const SUITES: [&str; 30] = [
    "run::inside::",
    "run::roots::",
    "run::posture::",
    "run::escapes::",
    "run::nested::",
    "run::leftovers::",
    "run::older_kernels::",
    "run::landlock::",
    "enter::groups::",
    "keep::root::",
    "limits::cpu::",
    "limits::memory::",
    "limits::pids::",
    "limits::io::",
    "limits::devices::",
    "limits::shown::",
    "limits::refused::",
    "limits::left_over::",
    "limits::delegated::",
    "limits::systemd::",
    "limits::unified::",
    "oci::checkpoint::",
    "oci::podman::podman_has_systemd",
    "the_targets_cgroup_is_joined",
    "gates::",
    "doctor::",
    "library::",
    "binary::",
    "is_listed_by_the_kernel",
    "all_that_the_kernel_lists_is_found",
];

/// Runs the tests that belong in the machine.
pub fn test(binaries: &Binaries) -> Result<Tally> {
    test_some(&[USUAL, NEWER], &SUITES.map(str::to_owned), binaries)
}

fn test_some(guests: &[Guest], filters: &[String], binaries: &Binaries) -> Result<Tally> {
    require(&[
        ("qemu-system-x86_64", "qemu-system-x86 qemu-utils-"),
        ("debootstrap", "debootstrap"),
        ("mkfs.ext4", "e2fsprogs"),
        ("timeout", "coreutils"),
    ])?;
    let folder = folder()?;
    let images: Vec<Image> = guests
        .iter()
        .map(|guest| Image::ready(guest, &folder))
        .collect::<Result<_>>()?;
    let tests = disk::of_tests(&folder, binaries, filters)?;
    let sum = guests.iter().zip(&images).try_fold(
        Tally::default(),
        |mut sum, (guest, image)| {
            let console = folder.join(format!("console-{}.log", guest.suite));
            let heard = || Heard::new(guest.tiers, &console, !filters.is_empty());
            sum += boot(image, &tests, heard)?;
            Ok(sum)
        },
    );
    fs::remove_file(tests)?;
    sum
}

/// target/vm of the build tree that this binary was built in.
fn folder() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from);
    let folder = target.join("vm");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Boots, shows what the guest says and adds up the tiers' closing lines. A kernel that
/// panics before it has said anything is booted again: it has tested nothing.
fn boot(image: &Image, tests: &Path, heard: impl Fn() -> Result<Heard>) -> Result<Tally> {
    for _ in 0..2 {
        let (heard, status) = boot_once(image, tests, heard()?)?;
        if heard.began {
            return heard.verdict(&status);
        }
        println!("the virtual machine did not come up ({status}): once more");
    }
    let (heard, status) = boot_once(image, tests, heard()?)?;
    heard.verdict(&status)
}

fn boot_once(image: &Image, tests: &Path, mut heard: Heard) -> Result<(Heard, String)> {
    let mut machine = qemu(image, tests)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start qemu-system-x86_64: {error}"))?;
    if let Some(serial) = machine.stdout.take() {
        for line in BufReader::new(serial).split(b'\n') {
            heard.line(String::from_utf8_lossy(&line?).trim_end_matches('\r'))?;
        }
    }
    let status = machine.wait()?;
    Ok((heard, status.to_string()))
}

/// Ends the machine by itself where it takes longer than this, in seconds.
const TIME_LIMIT: &str = "1500";

fn qemu(image: &Image, tests: &Path) -> Command {
    let disk = |name: &str, path: &Path, more: &str| {
        format!("file={},format=raw,if=none,id={name}{more}", path.display())
    };
    let mut qemu = Command::new("timeout");
    qemu.args(["--kill-after=5", TIME_LIMIT, "qemu-system-x86_64"]);
    // Nested KVM is there on some machines and breaks on others; emulation always works.
    // One thread for both processors: with two, one can execute what the other is changing in
    // the kernel, which does that whenever a static key turns, and stops at an int3 ("Oops").
    qemu.args(["-accel", "tcg,thread=single"]);
    qemu.args(["-cpu", "max", "-smp", "2", "-m", "2048"]);
    qemu.arg("-kernel").arg(&image.kernel);
    qemu.args(["-append", guest::KERNEL_COMMAND_LINE]);
    // Writes go to a temporary file that qemu deletes: the image stays as it was made.
    qemu.args(["-drive", &disk("system", &image.disk, ",snapshot=on")]);
    qemu.args(["-device", "nvme,drive=system,serial=system"]);
    qemu.args(["-drive", &disk("tests", tests, ",readonly=on")]);
    // Not a second NVMe disk: newer kernels number those in the order of their answers.
    qemu.args(["-device", "virtio-blk-pci,drive=tests,serial=tests"]);
    qemu.args(["-display", "none", "-serial", "stdio", "-monitor", "none"]);
    qemu.args(["-no-reboot", "-nic", "none"]);
    qemu
}

/// The guest's words, so far.
struct Heard {
    log: File,
    console: PathBuf,
    /// How many tiers the guest has.
    wanted: usize,
    last: Vec<String>,
    began: bool,
    only_some: bool,
    tiers: Vec<Tally>,
}

impl Heard {
    fn new(wanted: usize, console: &Path, only_some: bool) -> Result<Self> {
        Ok(Self {
            log: File::create(console)?,
            console: console.to_owned(),
            wanted,
            last: Vec::new(),
            began: false,
            only_some,
            tiers: Vec::new(),
        })
    }

    fn line(&mut self, line: &str) -> Result<()> {
        writeln!(self.log, "{line}")?;
        // Before the guest's first word are the firmware's terminal sequences.
        let start = line.find(guest::MARK).filter(|_| !self.began);
        self.began |= start.is_some();
        if self.began {
            println!("vm| {}", &line[start.unwrap_or(0)..]);
        } else {
            self.last.push(line.to_owned());
        }
        self.tiers.extend(Tally::of_line(line));
        Ok(())
    }

    fn verdict(&self, status: &str) -> Result<Tally> {
        let mut sum = Tally::default();
        self.tiers.iter().for_each(|tier| sum += *tier);
        // Where only some tests were asked for, a tier may have none of them.
        let empty = self.tiers.iter().any(|tier| *tier == Tally::default());
        if self.tiers.len() == self.wanted && (self.only_some || !empty) {
            return Ok(sum);
        }
        let start = self.last.len().saturating_sub(30);
        if !self.began {
            println!("{}", self.last[start..].join("\n"));
        }
        Err(self.incomplete(status))
    }

    fn incomplete(&self, status: &str) -> Failure {
        let (heard, wanted) = (self.tiers.len(), self.wanted);
        let console = self.console.display();
        format!(
            "{heard} of {wanted} test runs came to their end in the virtual machine \
             (qemu: {status}); the whole console is in {console}"
        )
        .into()
    }
}
