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
        false => TEMPLATE.to_owned(),
    };
    write(&file, &text).map_err(|error| {
        let words = warren_namespaces::io_error_text(&error);
        Stop::usage(format!("write {}: {words}", file.display()))
    })?;
    Ok(0)
}

/// Not over one that is there.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut new = std::fs::OpenOptions::new();
    new.write(true).create_new(true);
    new.open(file)?.write_all(text.as_bytes())
}
