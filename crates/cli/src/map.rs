//! `warren map`: a picture of what isolates what, in one file.

mod dot;
mod escape;
mod facts;
mod fold;
mod html;
mod layout;
mod svg;
mod text;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use warren_namespaces::{Kind, NamespaceSet};

use crate::failure::{Failure, print};
use crate::ls;
use crate::overview::Overview;
use crate::terminal;
use crate::words::Users;
use facts::Facts;

/// Draws what isolates what: which processes have namespaces of their own, what was
/// made inside of what, who shares namespaces with whom.
///
/// The default is text. What is equal, 500 times `sleep` for instance, is drawn once
/// with its number. The picture is one file that needs no other and no network.
#[derive(Debug, Parser)]
#[command(name = "warren map", bin_name = "warren map")]
struct Arguments {
    /// Only these kinds: mnt net ipc user pid uts cgroup time
    #[arg(value_name = "KIND")]
    kinds: Vec<Kind>,

    /// Draw a scalable picture
    #[arg(long, group = "form")]
    svg: bool,

    /// Draw a page with search and details
    #[arg(long, group = "form")]
    html: bool,

    /// Write the graph in the language of Graphviz
    #[arg(long, group = "form")]
    dot: bool,

    /// Write to this file, whose ending .svg .html .dot says how if no option does
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// How it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Svg,
    Html,
    Dot,
}

/// Runs the command.
pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let form = form(&arguments);
    let snapshot = ls::snapshot()?;
    let kinds = ls::kinds(&arguments.kinds);
    let overview = Overview::new(&snapshot, kinds, &Users::read());
    let facts = Facts::new(&snapshot, kinds);
    let width = match arguments.output {
        None => terminal::width(),
        Some(_) => None,
    };
    let text = render(form, &overview, &facts, width)?;
    match &arguments.output {
        Some(file) => write(file, &text)?,
        None => print(&text)?,
    }
    Ok(0)
}

fn form(arguments: &Arguments) -> Form {
    let ending = arguments.output.as_deref().and_then(Path::extension);
    match ending.and_then(|ending| ending.to_str()) {
        _ if arguments.svg => Form::Svg,
        _ if arguments.html => Form::Html,
        _ if arguments.dot => Form::Dot,
        Some("svg") => Form::Svg,
        Some("html" | "htm") => Form::Html,
        Some("dot" | "gv") => Form::Dot,
        _ => Form::Text,
    }
}

fn render(
    form: Form,
    overview: &Overview,
    facts: &Facts,
    width: Option<usize>,
) -> Result<String, Failure> {
    let map = fold::Map::new(overview);
    match form {
        Form::Text => Ok(text::render(&map, facts, width)),
        Form::Svg => Ok(svg::render(&map, facts)),
        Form::Html => html::render(&map, facts),
        Form::Dot => Ok(dot::render(&map)),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| {
        Failure::new(format!(
            "write {}: {}",
            file.display(),
            warren_namespaces::io_error_text(&error)
        ))
    })
}

/// Whether all kinds are on the picture.
fn is_all(kinds: NamespaceSet) -> bool {
    kinds == NamespaceSet::ALL
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_option_or_the_ending_says_how_it_is_drawn() {
        let form = |words: &[&str]| {
            let words = [&["map"], words].concat();
            super::form(&Arguments::try_parse_from(words).expect("good arguments"))
        };
        assert_eq!(form(&[]), Form::Text);
        assert_eq!(form(&["--html"]), Form::Html);
        assert_eq!(form(&["-o", "x.svg"]), Form::Svg);
        assert_eq!(form(&["-o", "x.svg", "--dot"]), Form::Dot);
        assert_eq!(form(&["-o", "svg"]), Form::Text);
        assert!(Arguments::try_parse_from(["map", "--svg", "--dot"]).is_err());
    }
}
