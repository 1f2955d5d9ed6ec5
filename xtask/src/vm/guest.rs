//! The systems inside the virtual machine: their packages and what they do when they boot.

/// A Debian system that runs tests and goes off.
pub struct Guest {
    /// Debian's code name.
    pub suite: &'static str,
    /// What it runs once it is up.
    script: &'static str,
    /// Packages that it has beyond those of every guest.
    more: &'static [&'static str],
    /// How many closing lines it gives.
    pub tiers: usize,
}

/// The system that users have: all tiers but the newer one. Its closing lines are those of
/// the user tier with and without a range of ids, the root tier, and the machine's own.
pub const USUAL: Guest = Guest {
    suite: "trixie",
    script: include_str!("guest.sh"),
    // What runs in a container, what brings one back, and an engine.
    more: &[
        "busybox-static",
        "conmon",
        "criu",
        "golang-github-containers-common",
        // With which criu holds connections back.
        "iptables",
        "podman",
    ],
    tiers: 4,
};

/// The newest kernel of Debian, for what the usual one lacks: the newer tier alone.
pub const NEWER: Guest = Guest {
    suite: "sid",
    script: include_str!("newer.sh"),
    more: &[],
    tiers: 1,
};

/// What the tests need in every guest, besides `debootstrap --variant=minbase`.
pub const PACKAGES: &[&str] = &[
    "apparmor",
    "bubblewrap",
    "crun",
    "dbus",
    "iproute2",
    "libcap2-bin",
    "linux-image-cloud-amd64",
    "nftables",
    "procps",
    "python3",
    "runc",
    "strace",
    "systemd-sysv",
    "tmux",
    "uidmap",
    "util-linux",
    "vim-tiny",
];

/// Debian's cloud kernel has NVMe and ext4 built in: no initrd.
pub const KERNEL_COMMAND_LINE: &str = "root=/dev/nvme0n1 console=ttyS0 rw panic=-1 quiet \
    loglevel=3 systemd.show_status=false apparmor=1";

/// The first line that the guest itself says begins with this.
pub const MARK: &str = "warren-vm:";

/// Files of every guest: path, mode, text.
const FILES: &[(&str, u32, &str)] = &[
    ("etc/hostname", 0o644, "burrow\n"),
    ("etc/fstab", 0o644, "/dev/vda /mnt ext4 ro 0 0\n"),
    ("etc/systemd/system/warren-vm.service", 0o644, SERVICE),
];

/// Lines added to files that Debian's packages made: two ordinary users, one with ranges
/// of ids.
pub const LINES: &[(&str, &str)] = &[
    ("etc/passwd", "burrow:x:1000:1000::/home/burrow:/bin/sh\n"),
    ("etc/passwd", "mole:x:1001:1001::/home/mole:/bin/sh\n"),
    ("etc/group", "burrow:x:1000:\nmole:x:1001:\n"),
    ("etc/subuid", "burrow:100000:65536\n"),
    ("etc/subgid", "burrow:100000:65536\n"),
];

/// Links of the guest: path and target. The masked units would start while tests compare
/// the machine before and after.
pub const LINKS: &[(&str, &str)] = &[
    (
        "etc/systemd/system/multi-user.target.wants/warren-vm.service",
        "../warren-vm.service",
    ),
    ("etc/systemd/system/apt-daily.timer", "/dev/null"),
    ("etc/systemd/system/apt-daily-upgrade.timer", "/dev/null"),
    ("etc/systemd/system/dpkg-db-backup.timer", "/dev/null"),
    ("etc/systemd/system/e2scrub_all.timer", "/dev/null"),
    ("etc/systemd/system/fstrim.timer", "/dev/null"),
    (
        "etc/systemd/system/systemd-tmpfiles-clean.timer",
        "/dev/null",
    ),
    ("etc/systemd/system/serial-getty@.service", "/dev/null"),
];

const SERVICE: &str = "[Unit]
Description=Warren's end-to-end tests
RequiresMountsFor=/mnt
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/warren-vm
TimeoutStartSec=infinity
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
";

impl Guest {
    /// Its files: path, mode, text.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, u32, &'static str)> {
        let script = ("usr/local/sbin/warren-vm", 0o755, self.script);
        FILES.iter().copied().chain([script])
    }

    /// What is installed in it.
    pub fn packages(&self) -> impl Iterator<Item = &'static str> {
        PACKAGES.iter().chain(self.more).copied()
    }

    /// A name for the image that changes with everything it is made of.
    pub fn key(&self) -> String {
        let files = self
            .files()
            .map(|(path, mode, text)| format!("{path}{mode}{text}"));
        let pairs = LINES
            .iter()
            .chain(LINKS)
            .map(|(path, text)| format!("{path}{text}"));
        let packages = self.packages().map(|name| format!("{name} "));
        let all: String = files.chain(pairs).chain(packages).collect();
        format!("{}-{:016x}", self.suite, fnv(all.as_bytes()))
    }
}

/// FNV-1a: the same on every machine and Rust version, as std's hasher need not be.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(fnv(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
