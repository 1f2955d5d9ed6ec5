//! `cargo xtask order`: which functions lie together at the begin of the binary's code.
//!
//! A run executes some 400 of the binary's 6,000 functions. Where the linker puts them they
//! are all over 4 MB, and the kernel maps 64 KiB of a file at a fault: 38 faults in the
//! first process alone. So the runs of the bench are stepped through, and what they execute
//! is written, in that order, to a linker script that crates/cli/build.rs gives to release
//! builds. A name that has changed since then is only placed elsewhere.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::bench::oci;
use crate::command::{build, is_root, output, repository, require, succeed};
use crate::stage::{Stage, USER};

#[derive(clap::Args)]
pub struct Arguments {
    /// Step through this binary, which is not stripped, and build none
    #[arg(long, value_name = "FILE")]
    warren: Option<PathBuf>,
}

/// The runs that are to begin quickly, of an ordinary user.
const RUNS: &[&str] = &[
    "bwrap --unshare-all --die-with-parent --ro-bind / / --tmpfs /tmp --proc /proc --dev /dev \
     /usr/bin/true",
    "run --map single --host-root -- /usr/bin/true",
    "run -- /usr/bin/true",
];

const HEAD: &str = "\
/* What a run executes, in that order: written by `cargo xtask order`, which says why.
 *
 * SPDX-License-Identifier: Apache-2.0 OR MIT */
SECTIONS
{
  .text.start :
  {
";

const FOOT: &str = "  }\n}\nINSERT BEFORE .text;\n";

/// Writes crates/cli/start.ld.
pub fn run(arguments: &Arguments) -> Result<bool> {
    require(&[
        ("gcc", "gcc libc6-dev"),
        ("nm", "binutils"),
        ("busybox", "busybox-static"),
    ])?;
    if !is_root()? {
        return Err(
            "one of the runs is a container with a control group: run it as root".into(),
        );
    }
    let stage = Stage::new("order")?;
    let tracer = stage.compile("steps")?;
    let warren = match &arguments.warren {
        Some(warren) => warren.clone(),
        None => build(
            "warren-cli",
            &[
                "--release",
                "--bin",
                "warren",
                "--config",
                "profile.release.strip=false",
            ],
        )?,
    };
    let binary = stage.copy(&warren, "warren")?;
    let functions = Functions::of(&binary)?;
    let mut executed = Vec::new();
    for line in RUNS {
        let line = line.split_whitespace();
        let places = steps(&stage, &tracer, &binary, line, Some(USER))?;
        executed.extend(functions.named(&places));
    }
    oci::job(&stage)?;
    let state = stage.path().join("state").display().to_string();
    let bundle = stage.path().join("job").display().to_string();
    let container = [
        "oci",
        "--root",
        &state,
        "run",
        "--bundle",
        &bundle,
        "warren-order",
    ];
    let places = steps(&stage, &tracer, &binary, container.into_iter(), None)?;
    executed.extend(functions.named(&places));
    let script = script(&executed, &functions, &members_of_libc()?);
    let file = repository().join("crates/cli/start.ld");
    fs::write(&file, script)?;
    println!("{}: {} functions", file.display(), executed.len());
    Ok(true)
}

/// Where in the image the instructions of a run lie, in the order of their first time.
fn steps<'a>(
    stage: &Stage,
    tracer: &Path,
    binary: &Path,
    words: impl Iterator<Item = &'a str>,
    user: Option<u32>,
) -> Result<Vec<u64>> {
    let scratch = stage.path().join("scratch");
    fs::create_dir_all(&scratch)?;
    let mut command = Command::new(tracer);
    let places = scratch.join("places");
    command.arg(&places).arg(binary).args(words);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/");
    if let Some(user) = user {
        std::os::unix::fs::chown(&scratch, Some(user), Some(user))?;
        command.uid(user).gid(user);
    }
    succeed(command.stdin(Stdio::null()))?;
    let text = fs::read_to_string(&places)?;
    fs::remove_file(&places)?;
    let place = |line| u64::from_str_radix(line, 16);
    Ok(text
        .lines()
        .map(place)
        .collect::<std::result::Result<_, _>>()?)
}

/// The functions of a binary.
struct Functions {
    /// By where they begin.
    by_place: BTreeMap<u64, String>,
    /// How many bytes all take that a pattern stands for.
    sizes: HashMap<String, u64>,
}

impl Functions {
    fn of(binary: &Path) -> Result<Self> {
        let table = output(Command::new("nm").arg("-S").arg(binary))?;
        let mut by_place = BTreeMap::new();
        let mut sizes = HashMap::new();
        for line in table.lines() {
            let [place, size, "t" | "T" | "w" | "W" | "i", name] =
                *line.split(' ').collect::<Vec<_>>()
            else {
                continue;
            };
            let size = u64::from_str_radix(size, 16)?;
            by_place.insert(u64::from_str_radix(place, 16)?, name.to_owned());
            *sizes.entry(pattern(name)).or_default() += size;
        }
        if by_place.is_empty() {
            return Err(format!("{}: it is stripped", binary.display()).into());
        }
        Ok(Self { by_place, sizes })
    }

    /// The functions in which these places lie, each once.
    fn named(&self, places: &[u64]) -> Vec<&str> {
        let mut seen = HashSet::new();
        let name = |place| Some(self.by_place.range(..=place).next_back()?.1.as_str());
        let names = places.iter().filter_map(|place| name(*place));
        names.filter(|name| seen.insert(*name)).collect()
    }

    /// What stands for a function: its name without what the next build changes, unless that
    /// would stand for many others as well.
    fn section(&self, name: &str) -> String {
        const MOST: u64 = 4096;
        let pattern = pattern(name);
        let own = self.sizes.get(&pattern).is_none_or(|size| *size <= MOST);
        let few = !pattern.contains("core") && !pattern.contains("alloc");
        if own || few { pattern } else { name.to_owned() }
    }
}

/// A mangled name with `*` for hashes: `17h...E` at the end of the older form, and what
/// follows `Cs` in the newer.
fn pattern(name: &str) -> String {
    const HASH: usize = "17h0123456789abcdefE".len();
    if name.starts_with("_ZN") && name.len() > HASH {
        let (path, hash) = name.split_at(name.len() - HASH);
        if hash.starts_with("17h") {
            return format!("{path}17h*E");
        }
    }
    let mut parts = name.split("Cs");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('_') {
            Some((hash, rest))
                if hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
            {
                text = text + "Cs*_" + rest;
            }
            _ => text = text + "Cs" + part,
        }
    }
    text
}

/// In which member of the C library each function is: its code lies in one section.
fn members_of_libc() -> Result<HashMap<String, String>> {
    let library = output(Command::new("gcc").arg("-print-file-name=libc.a"))?;
    // It complains of members without code, which are many.
    let table = Command::new("nm")
        .args(["-A", "--defined-only", library.trim()])
        .output()?;
    let table = String::from_utf8(table.stdout)?;
    let member = |line: &str| {
        let (file, symbol) = line.rsplit_once(':')?;
        let (_, member) = file.rsplit_once(':')?;
        let mut symbol = symbol.split(' ').skip(1);
        let is_code = matches!(symbol.next()?, "t" | "T" | "w" | "W" | "i");
        is_code.then(|| Some((symbol.next()?.to_owned(), member.to_owned())))?
    };
    Ok(table.lines().filter_map(member).collect())
}

fn script(
    executed: &[&str],
    functions: &Functions,
    members: &HashMap<String, String>,
) -> String {
    let mut text = String::from(HEAD);
    let mut seen = HashSet::new();
    for name in executed {
        let line = match members.get(*name) {
            Some(member) => format!("*libc.a:{member}(.text .text.*)"),
            None => format!("*(.text.{})", functions.section(name)),
        };
        if seen.insert(line.clone()) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "    {line}");
        }
    }
    text + FOOT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_its_hashes() {
        for (name, expected) in [
            (
                "_ZN12warren_spawn5child3run17h4a65b6e562757daeE",
                "_ZN12warren_spawn5child3run17h*E",
            ),
            ("_RNvNtCslNYArtu3iFV_5alloc3fmt", "_RNvNtCs*_5alloc3fmt"),
            ("malloc", "malloc"),
            ("main", "main"),
        ] {
            assert_eq!(pattern(name), expected);
        }
    }
}
