//! `warren profile ls`.

use serde::Serialize;
use warren_profile::{Entry, Origin};

use crate::columns::Columns;
use crate::failure::{self, Failure};
use crate::{json, terminal};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct List {
    version: u32,
    profiles: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    name: String,
    /// `None` for a shipped one.
    path: Option<String>,
    hidden: bool,
    about: Option<String>,
    error: Option<String>,
}

pub fn run(as_json: bool) -> Result<u8, Failure> {
    let library = super::library()?;
    let profiles = library.list()?;
    let profiles = profiles.into_iter().map(|entry| item(entry, &library));
    let list = List {
        version: VERSION,
        profiles: profiles.collect(),
    };
    let text = match as_json {
        true => json::text(&list)?,
        false => table(&list.profiles),
    };
    failure::print(&text)?;
    Ok(0)
}

fn item(entry: Entry, library: &warren_profile::Library) -> Item {
    let path = match &entry.origin {
        Origin::Shipped(_) => None,
        Origin::File(path) => Some(path.to_string_lossy().into_owned()),
    };
    let (about, error) = match library.read(&entry) {
        Ok(profile) => (profile.about, None),
        Err(error) => (None, Some(error.to_string())),
    };
    Item {
        name: entry.name,
        path,
        hidden: entry.is_hidden,
        about,
        error,
    }
}

fn table(items: &[Item]) -> String {
    let rows = items.iter().map(|item| {
        let path = item.path.as_deref().unwrap_or("shipped");
        let from = match item.hidden {
            true => format!("{path} (the one above counts)"),
            false => path.to_owned(),
        };
        let about = item.error.as_deref().or(item.about.as_deref());
        vec![item.name.clone(), from, about.unwrap_or("-").to_owned()]
    });
    let mut text = Columns::new(terminal::width());
    text.table(0, &["NAME", "FROM", "WHAT FOR"], rows.collect());
    text.finish()
}
