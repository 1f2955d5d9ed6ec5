//! `spec`.

use std::ffi::OsString;
use std::path::Path;

use warren_oci::runtime::{TEMPLATE, rootless_template};

use super::options::{flag, parse, value_or};
use super::{Context, Stop};
use crate::getopt::{Known, Order};

const OPTIONS: &[Known<&str>] = &[value_or(b'b', "bundle"), flag("rootless")];

pub fn run(_: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(OPTIONS, Order::Any, arguments).map_err(Stop::usage)?;
    let bundle = options.value("bundle").map_or(Path::new("."), Path::new);
    let file = bundle.join("config.json");
    let text = match options.is("rootless") {
        true => {
            let uid = rustix::process::geteuid().as_raw();
            rootless_template(uid, rustix::process::getegid().as_raw())
        }
        false => for_this_machine(TEMPLATE),
    };
    write(&file, &text).map_err(|error| {
        let words = warren_namespaces::io_error_text(&error);
        Stop::usage(format!("write {}: {words}", file.display()))
    })?;
    Ok(0)
}

/// On v1 the container sees its groups as the host names them, as with runc's.
fn for_this_machine(template: &str) -> String {
    const NAMESPACE: &str = ",\n\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}";
    match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        true => template.to_owned(),
        false => template.replace(NAMESPACE, ""),
    }
}

/// Not over one that is there.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut new = std::fs::OpenOptions::new();
    new.write(true).create_new(true);
    new.open(file)?.write_all(text.as_bytes())
}
