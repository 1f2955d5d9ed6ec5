//! Text to profile.
//!
//! By hand and not by serde's derive, which would take 237 KB in the binary where this
//! takes 39, and knows neither the line nor the key of what it refuses.

mod section;

use std::str::FromStr;

use toml::de::DeTable;
use warren_confine::{Capability, CapabilitySet};

use crate::error::Error;
use crate::profile::{
    Capabilities, Files, Limits, Map, Mode, Network, Process, Profile, Requirement, Root,
    Syscalls, Version,
};
use crate::text::{check_name, check_path, check_pattern, check_value};
use crate::value::{BYTES, Endpoint, SECONDS};
use section::{Section, line, locate};

/// The longest profile, in bytes.
pub const MAX_LENGTH: usize = 1 << 20;

impl FromStr for Profile {
    type Err = Error;

    /// The profile that a text says; what it includes is not looked at.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LENGTH {
            return Err(too_long());
        }
        let table = DeTable::parse(text).map_err(|error| of_toml(text, &error))?;
        let profile = profile(Section::new(text, table.get_ref()))?;
        profile
            .check()
            .map_err(|error| locate(text, table.get_ref(), error))?;
        Ok(profile)
    }
}

pub(crate) fn too_long() -> Error {
    Error::new("it has more than 1 MiB")
        .hint("a profile is a short text; is it this file?")
}

/// What is no TOML at all.
fn of_toml(text: &str, error: &toml::de::Error) -> Error {
    let mut own = Error::new(error.message().trim_end().replace('`', "'"));
    own.line = error.span().map(|span| line(text, span.start));
    own.hint("profiles are TOML: toml.io/en/v1.0.0 describes it")
}

fn profile(mut top: Section<'_, '_>) -> Result<Profile, Error> {
    match top.number("version")? {
        None => {
            let what = "it does not say which version of the format it has";
            return Err(Error::new(what).hint("write version = 1 in its first line"));
        }
        Some(number) if number == u64::from(Version::NUMBER) => {}
        Some(other) => {
            let newest = Version::NUMBER;
            let what =
                format!("version {other} is not known here; the newest is {newest}");
            return Err(top.error("version", what));
        }
    }
    let profile = Profile {
        version: Version,
        about: top.text("about")?,
        include: top.texts("include", |_| Ok(()))?,
        require: top.list("require", |item| {
            named(&Requirement::ALL, Requirement::name, item.text()?)
        })?,
        landlock: top.flag("landlock")?,
        files: top.section("files", files)?,
        process: top.section("process", process)?,
        network: top.section("network", network)?,
        syscalls: top.section("syscalls", syscalls)?,
        capabilities: top.section("capabilities", capabilities)?,
        limits: top.section("limits", limits)?,
    };
    top.finish()?;
    Ok(profile)
}

fn files(table: &mut Section<'_, '_>) -> Result<Files, Error> {
    Ok(Files {
        root: table.word("root", |text| named(&Root::ALL, Root::name, text))?,
        read: table.texts("read", check_path)?,
        write: table.texts("write", check_path)?,
        overlay: table.texts("overlay", check_path)?,
        tmpfs: table.texts("tmpfs", check_path)?,
        hide: table.texts("hide", check_pattern)?,
    })
}

fn process(table: &mut Section<'_, '_>) -> Result<Process, Error> {
    Ok(Process {
        workdir: table
            .word("workdir", |text| check_path(text).map(|()| text.to_owned()))?,
        hostname: table.text("hostname")?,
        map: table.word("map", |text| named(&Map::ALL, Map::name, text))?,
        clear_env: table.flag("clear-env")?,
        pass: table.texts("pass", check_name)?,
        set: table.variables("set", |name, value| {
            check_name(name).and_then(|()| check_value(value))
        })?,
    })
}

fn network(table: &mut Section<'_, '_>) -> Result<Network, Error> {
    let port = |number: Option<u64>| number.and_then(|number| u16::try_from(number).ok());
    Ok(Network {
        mode: table.word("mode", |text| named(&Mode::ALL, Mode::name, text))?,
        connect: table.optional_list("connect", |item| {
            let text = item.text().ok().and_then(|text| text.parse().ok());
            let target = port(item.number()).map(Endpoint::port).or(text);
            target.ok_or_else(|| item.unexpected("a port or \"HOST:PORT\""))
        })?,
        bind: table.optional_list("bind", |item| {
            port(item.number()).ok_or_else(|| item.unexpected("a port"))
        })?,
    })
}

fn syscalls(table: &mut Section<'_, '_>) -> Result<Syscalls, Error> {
    // The names are looked at by the check, where a policy that has them is made.
    Ok(Syscalls {
        default: table.text("default")?,
        allow: table.texts("allow", crate::check::check_call)?,
        deny: table.texts("deny", crate::check::check_call)?,
        policy: table.text("policy")?,
        file: table.text("file")?,
    })
}

fn capabilities(table: &mut Section<'_, '_>) -> Result<Capabilities, Error> {
    let list = table.list("add", |item| {
        let capability = item.text()?.parse::<Capability>();
        capability.map_err(|error| error.to_string())
    })?;
    let add: CapabilitySet = list.into_iter().collect();
    Ok(Capabilities { add })
}

fn limits(table: &mut Section<'_, '_>) -> Result<Limits, Error> {
    const SIZE: &str = "a size: 512M, a number of bytes, or \"unlimited\"";
    const TIME: &str = "a time: 90s, 10m, 2h, or \"unlimited\"";
    const COUNT: &str = "a number or \"unlimited\"";
    Ok(Limits {
        cpu_time: table.limit("cpu-time", SECONDS, TIME)?,
        file_size: table.limit("file-size", BYTES, SIZE)?,
        open_files: table.limit("open-files", &[], COUNT)?,
        processes: table.limit("processes", &[], COUNT)?,
        address_space: table.limit("address-space", BYTES, SIZE)?,
    })
}

/// The one of these that has this name.
fn named<T: Copy>(
    all: &[T],
    name: fn(T) -> &'static str,
    text: &str,
) -> Result<T, String> {
    let mut each = all.iter().copied();
    each.find(|one| name(*one) == text).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        format!("unknown word '{text}'; there are {}", names.join(", "))
    })
}
