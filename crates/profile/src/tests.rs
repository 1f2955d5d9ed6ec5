//! What files may have wrong, and that text and profile say the same.

use crate::profile::{Map, Mode, Profile, Requirement, Root};
use crate::shipped;
use crate::value::{Endpoint, Limit};

#[track_caller]
fn error(text: &str) -> String {
    let error = text.parse::<Profile>().expect_err(text);
    error.to_string()
}

/// With the first line that every profile has.
#[track_caller]
fn profile(rest: &str) -> Profile {
    let text = format!("version = 1\n{rest}");
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn an_error_names_line_key_and_reason() {
    let cases = [
        ("", "read the profile: it does not say which version"),
        (
            "version = 2",
            "line 1, version: version 2 is not known here",
        ),
        (
            "version = 1\n[files]\nraed = []",
            "line 3, files.raed: unknown key 'raed'; there are root, read",
        ),
        (
            "version = 1\nfile = 3",
            "line 2, file: unknown key 'file'; there are version, about",
        ),
        (
            "version = 1\n[files]\nread = [\n '/a',\n 'b']",
            "line 5, files.read: the path 'b'",
        ),
        (
            "version = 1\n[files]\nread = ['/a/../b']",
            "line 3, files.read: the path '/a/../b' has",
        ),
        (
            "version = 1\n[files]\nread = ['$HOEM']",
            "line 3, files.read: unknown variable $HOEM",
        ),
        (
            "version = 1\n[files]\nread = ['~me/x']",
            "files.read: ~ stands for the caller's",
        ),
        (
            "version = 1\n[files]\nroot = 'none'",
            "line 3, files.root: unknown word 'none'; there are empty",
        ),
        (
            "version = 1\n[files]\nread = ['/a']\nwrite = ['?/a']",
            "files.write: '/a' is in files.read too",
        ),
        (
            "version = 1\n[files]\nread = ['/a', '/a']",
            "line 3, files.read: '/a' is in it twice",
        ),
        ("version = 1\nversion = 1", "line 2: duplicate key"),
        (
            "version = 1\n[limits]\nfile-size = '3 X'",
            "line 3, limits.file-size: a size: 512M, a number of bytes, or \"unlimited\" is expected, not '3 X'",
        ),
        (
            "version = 1\n[limits]\nprocesses = -1",
            "line 3, limits.processes: a number or \"unlimited\" is expected, not -1",
        ),
        (
            "version = 1\n[network]\nconnect = [80, 70000]",
            "line 3, network.connect: a port or \"HOST:PORT\" is expected, not 70000",
        ),
        (
            "version = 1\n[network]\nbind = ['x']",
            "line 3, network.bind: a port is expected, not 'x'",
        ),
        (
            "version = 1\n[capabilities]\nadd = ['NET']",
            "line 3, capabilities.add: unknown capability 'NET'",
        ),
        (
            "version = 1\n[syscalls]\nallow = ['raed']",
            "line 3, syscalls.allow: unknown system call \"raed\"",
        ),
        (
            "version = 1\n[syscalls]\ndefault = 'perhaps'",
            "line 3, syscalls.default: ",
        ),
        (
            "version = 1\n[syscalls]\npolicy = '''\ndefault allow\ndeny x'''",
            "line 3, syscalls.policy: line 2: unknown",
        ),
        (
            "version = 1\n[syscalls]\nfile = 'a'\ndeny = ['@net']",
            "line 2, syscalls: it has more than one",
        ),
        (
            "version = 1\n[process]\nworkdir = '?/x'",
            "line 3, process.workdir: ",
        ),
        ("version = 1\n[process.set]\n'A=B' = 'x'", "process.set"),
        (
            "version = 1\nrequire = ['magic']",
            "line 2, require: unknown word 'magic'; there are landlock",
        ),
        ("version = 1\n[files", "line 2"),
    ];
    for (text, expected) in cases {
        let error = error(text);
        assert!(error.contains(expected), "{text}\n  {error}\n  {expected}");
    }
}

#[test]
fn a_profile_has_what_its_text_says() {
    let text = "about = 'x'\ninclude = ['build', './a.toml']\nrequire = ['landlock']\n\
                landlock = true\n[files]\nroot = 'empty'\nread = ['?~/x']\n\
                hide = ['**/.env', '!**/a']\n[process]\nmap = 'single'\n\
                set = { A = '$HOME' }\n[network]\nmode = 'host'\n\
                connect = [443, '[::1]:80', 'a.org:1']\nbind = []\n\
                [capabilities]\nadd = ['CAP_CHOWN', 'net_raw']\n\
                [limits]\ncpu-time = '2h'\nfile-size = '3M'\nopen-files = 10\n\
                processes = 'unlimited'\naddress-space = '7'";
    let profile = profile(text);
    assert_eq!(profile.about.as_deref(), Some("x"));
    assert_eq!(profile.include, ["build", "./a.toml"]);
    assert_eq!(profile.require, [Requirement::Landlock]);
    assert_eq!(profile.landlock, Some(true));
    assert_eq!(profile.files.root, Some(Root::Empty));
    assert_eq!(profile.files.read, ["?~/x"]);
    assert_eq!(profile.files.hide, ["**/.env", "!**/a"]);
    assert_eq!(profile.process.map, Some(Map::Single));
    assert_eq!(profile.process.set["A"], "$HOME");
    assert_eq!(profile.network.mode, Some(Mode::Host));
    let host = |host: &str, port| Endpoint {
        host: Some(host.to_owned()),
        port,
    };
    let targets = [Endpoint::port(443), host("::1", 80), host("a.org", 1)];
    assert_eq!(profile.network.connect.as_deref(), Some(&targets[..]));
    assert_eq!(profile.network.bind, Some(Vec::new()));
    assert_eq!(
        profile.capabilities.add.to_string(),
        "cap_chown,cap_net_raw"
    );
    let limits = profile.limits;
    assert_eq!(limits.cpu_time, Some(Limit::At(7200)));
    assert_eq!(limits.file_size, Some(Limit::At(3 << 20)));
    assert_eq!(limits.open_files, Some(Limit::At(10)));
    assert_eq!(limits.processes, Some(Limit::Unlimited));
    assert_eq!(limits.address_space, Some(Limit::At(7)));
}

#[test]
fn units_are_of_their_resource_and_numbers_are_plain() {
    for wrong in [
        "10m",
        "1g",
        "+1",
        "1.5G",
        "",
        "G",
        "-1",
        "0x10",
        "99999999999T",
    ] {
        error(&format!("version = 1\n[limits]\nfile-size = '{wrong}'"));
    }
    for wrong in ["10M", "1d", "18446744073709551615"] {
        error(&format!("version = 1\n[limits]\ncpu-time = '{wrong}'"));
    }
    for wrong in [
        "a", "a:", ":1", "a:b:1", "[a]:1", "a:+1", "a b:1", "[::1]", "a:65536",
    ] {
        error(&format!("version = 1\n[network]\nconnect = ['{wrong}']"));
    }
}

#[test]
fn a_text_longer_than_1_mib_is_refused() {
    let text = format!("version = 1\n#{}", "x".repeat(1 << 20));
    assert!(error(&text).contains("more than 1 MiB"));
}

#[test]
fn every_shipped_profile_is_read_and_says_what_it_is_for() {
    for (name, text) in shipped::PROFILES {
        let profile: Profile = text
            .parse()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(profile.about.is_some(), "{name}");
        let printed = profile.to_string();
        assert_eq!(printed.parse(), Ok(profile), "{name}:\n{printed}");
    }
}

/// A generator of random numbers that is the same each time: SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % bound as u64) as usize
    }

    fn chance(&mut self) -> bool {
        self.below(3) > 0
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 14] = [
            "a",
            "B-_",
            " ",
            "\"",
            "\\",
            "'",
            "'''",
            "\"\"\"",
            "\n",
            "\r\n",
            "\t",
            "\u{7f}",
            "\u{1}",
            "ö€😀",
        ];
        let length = self.below(6);
        (0..length)
            .map(|_| PIECES[self.below(PIECES.len())])
            .collect()
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> String) -> Vec<String> {
        let length = self.below(5);
        (0..length).map(|_| item(self)).collect()
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance().then(|| value(self))
    }

    fn limit(&mut self) -> Limit {
        match self.below(4) {
            0 => Limit::Unlimited,
            1 => Limit::At(self.below(100) as u64),
            2 => Limit::At((self.below(100) as u64) << (10 * self.below(5))),
            _ => Limit::At(60 * self.below(1000) as u64),
        }
    }

    /// One that passes its own check.
    fn profile(&mut self) -> Profile {
        let mut profile = Profile {
            about: self.maybe(Self::text),
            include: self.list(|random| format!("x{}", random.text())),
            landlock: self.maybe(Self::chance),
            ..Profile::default()
        };
        if self.chance() {
            profile.require.push(Requirement::Landlock);
        }
        let files = &mut profile.files;
        let roots = [Root::Empty, Root::Programs, Root::System, Root::Host];
        files.root = self.maybe(|random| roots[random.below(4)]);
        let mut number = 0;
        let mut path = |random: &mut Self| {
            number += 1;
            let start = ["/", "?/", "~/", "?$PROJECT/", "/$$/"][random.below(5)];
            format!("{start}{number}{}", random.text())
        };
        files.read = self.list(&mut path);
        files.write = self.list(&mut path);
        files.overlay = self.list(&mut path);
        files.tmpfs = self.list(&mut path);
        files.hide = self.list(|random| format!("!**/{}", random.text()));
        let process = &mut profile.process;
        process.workdir = self.maybe(|random| format!("/{}", random.text()));
        process.hostname = self.maybe(Self::text);
        process.map = self.maybe(|random| [Map::Auto, Map::Single][random.below(2)]);
        process.clear_env = self.maybe(Self::chance);
        process.pass = self.list(|random| format!("V{}", random.text()));
        for _ in 0..self.below(4) {
            let name = format!("{}V", self.text());
            process.set.insert(name, self.text());
        }
        let network = &mut profile.network;
        network.mode = self.maybe(|random| [Mode::None, Mode::Host][random.below(2)]);
        network.bind =
            self.maybe(|random| vec![random.below(65536) as u16; random.below(3)]);
        network.connect = self.maybe(|random| {
            let hosts = [None, Some("::1"), Some("a.example")];
            let target = |random: &mut Self| Endpoint {
                host: hosts[random.below(3)].map(str::to_owned),
                port: 1 + random.below(65535) as u16,
            };
            (0..random.below(20)).map(|_| target(random)).collect()
        });
        let syscalls = &mut profile.syscalls;
        match self.below(3) {
            0 => {
                syscalls.policy =
                    Some("default allow\n\n# \"\"\" \\ \r\ndeny mkdir".into());
            }
            1 => syscalls.file = Some(self.text()),
            _ => {
                let names = ["@net", "read", "?new", "ioctl"];
                syscalls.default = self.maybe(|_| "deny ENOSYS".to_owned());
                syscalls.allow = self.list(|random| names[random.below(4)].to_owned());
                syscalls.deny = self.list(|random| names[random.below(4)].to_owned());
            }
        }
        let bits = self.below(1 << 41) as u64;
        profile.capabilities.add = warren_confine::CapabilitySet::from_bits(bits);
        let limits = &mut profile.limits;
        limits.cpu_time = self.maybe(Self::limit);
        limits.file_size = self.maybe(Self::limit);
        limits.open_files = self.maybe(Self::limit);
        limits.processes = self.maybe(Self::limit);
        limits.address_space = self.maybe(Self::limit);
        profile
    }
}

#[test]
fn what_is_printed_is_read_as_it_was() {
    let mut random = Random(1);
    for _ in 0..3000 {
        let profile = random.profile();
        profile.check().expect("a good profile");
        let text = profile.to_string();
        assert_eq!(text.parse(), Ok(profile), "{text}");
    }
}

#[test]
fn a_broken_text_is_an_error_and_never_a_panic() {
    let mut random = Random(2);
    let mut seeds: Vec<String> = shipped::PROFILES
        .iter()
        .map(|(_, text)| (*text).to_owned())
        .collect();
    seeds.extend((0..20).map(|_| random.profile().to_string()));
    let pieces = [
        "[",
        "]",
        "[[",
        "{",
        "}",
        "=",
        "\"",
        "'''",
        "\n",
        ",",
        "$",
        "~",
        "?",
        "!",
        "..",
        "\\u",
        "\0",
        "é",
        "-1",
        "9e999",
        "1979-05-27",
        "inf",
        "true",
        "[files]",
        "read",
        "#",
    ];
    let (mut good, mut bad) = (0, 0);
    for round in 0..20_000 {
        let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
        for _ in 0..=random.below(4) {
            let place = random.below(bytes.len() + 1);
            let end = (place + random.below(8)).min(bytes.len());
            match random.below(4) {
                0 => bytes.truncate(place),
                1 => drop(bytes.drain(place..end)),
                2 => drop(bytes.splice(place..end, bytes[..end - place].to_vec())),
                _ => {
                    let piece = pieces[random.below(pieces.len())].bytes();
                    drop(bytes.splice(place..end, piece));
                }
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        match text.parse::<Profile>() {
            Ok(profile) => {
                assert_eq!(profile.to_string().parse(), Ok(profile), "{text}");
                good += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                bad += 1;
            }
        }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}

#[test]
fn a_text_nested_without_end_is_an_error() {
    for piece in ["[", "{a=", "[[", "a."] {
        let text = format!("version = 1\nx = {}", piece.repeat(100_000));
        error(&text);
        error(&piece.repeat(100_000));
    }
}
