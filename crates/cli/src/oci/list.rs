//! `list`.

use std::ffi::OsString;

use serde::Serialize;
use warren_namespaces::accounts::passwd_by_uid;
use warren_oci::runtime::Summary;

use super::options::{both, parse, value_or};
use super::{Context, Stop};
use crate::failure;
use crate::getopt::{Known, Order};

const OPTIONS: &[Known<&str>] = &[value_or(b'f', "format"), both(b'q', "quiet")];

/// A container in a list: the properties that runc's has.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "ociVersion")]
    oci_version: &'a str,
    id: &'a str,
    pid: u32,
    status: String,
    bundle: &'a str,
    rootfs: &'a str,
    created: &'a str,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: &'a std::collections::BTreeMap<String, String>,
    owner: String,
}

pub fn run(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(OPTIONS, Order::Any, arguments).map_err(Stop::usage)?;
    if let Some(word) = options.operands.first() {
        return Err(Stop::usage(format!(
            "unexpected argument '{}'",
            word.display()
        )));
    }
    if context.names_store && !context.store.exists() {
        return Err(Stop::usage("there is no such folder as --root names"));
    }
    let containers = context.store.list()?;
    // One that is removed meanwhile is in no list.
    let all: Vec<Summary> = containers
        .iter()
        .filter_map(|container| container.summary().ok())
        .collect();
    let text = match options.text("format")? {
        _ if options.is("quiet") => all
            .iter()
            .map(|one| format!("{}\n", one.record.id))
            .collect(),
        None | Some("table") => table(&all),
        Some("json") => json(&all),
        Some(word) => {
            return Err(Stop::usage(format!(
                "--format: expected table or json, found '{word}'"
            )));
        }
    };
    failure::print(&text)?;
    Ok(0)
}

fn json(all: &[Summary]) -> String {
    let accounts = accounts();
    let lines: Vec<Line<'_>> = all.iter().map(|one| line(one, &accounts)).collect();
    // Strings and numbers: nothing that JSON cannot say.
    serde_json::to_string(&lines).unwrap_or_default()
}

fn accounts() -> String {
    std::fs::read_to_string("/etc/passwd").unwrap_or_default()
}

fn line<'a>(one: &'a Summary, accounts: &str) -> Line<'a> {
    let owner = passwd_by_uid(accounts, one.record.owner);
    let record = &one.record;
    Line {
        oci_version: &record.oci_version,
        id: &record.id,
        pid: one.pid,
        status: one.status.to_string(),
        bundle: &record.bundle,
        rootfs: &record.rootfs,
        created: &record.created,
        annotations: &record.annotations,
        owner: owner.map_or(format!("#{}", one.record.owner), |user| user.name),
    }
}

fn table(all: &[Summary]) -> String {
    let accounts = accounts();
    let titles = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = all.iter().map(|one| {
        let line = line(one, &accounts);
        [
            line.id.to_owned(),
            line.pid.to_string(),
            line.status,
            line.bundle.to_owned(),
            line.created.to_owned(),
            line.owner,
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(titles).chain(rows).collect();
    const LEAST: usize = 12;
    const GAP: usize = 3;
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count() + GAP);
        widths.max().unwrap_or(0).max(LEAST)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row[..5].iter().zip(widths) {
            text.push_str(&format!("{cell:width$}"));
        }
        text.push_str(&row[5]);
        text.push('\n');
    }
    text
}
