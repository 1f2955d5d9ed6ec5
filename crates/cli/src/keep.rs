//! `warren keep` and `warren rm`: namespaces with a name, which outlive their processes.

mod list;
mod make;
mod store;

use std::ffi::OsString;

use clap::Parser;
use warren_namespaces::{Found, Kind, ProcRoot, Search, Target};
use warren_spawn::Host;

use crate::failure::{self, Failure};

use store::Keeping;
pub use store::all as stores;

/// Keep namespaces under a name; without a name, list what is kept
///
/// `warren enter NAME` runs commands in them, until `warren rm NAME` lets them go. Root
/// keeps by bind mounts, and `ip netns` sees the net namespace; a pid or user namespace,
/// and everything without root, is kept by a sleeping process.
#[derive(Debug, Parser)]
#[command(
    name = "warren keep",
    bin_name = "warren keep",
    override_usage = "warren keep [--json]\n       warren keep [OPTIONS] NAME"
)]
struct Arguments {
    /// Keep these kinds; by default all, but the user namespace only where the caller
    /// needs one
    #[arg(long, value_name = "KIND", value_delimiter = ',', requires = "name")]
    kinds: Vec<Kind>,
    /// Keep namespaces that exist: of a process, or those that another name or file stands
    /// for; by default those that are not the caller's, but for pid
    #[arg(long, value_name = "TARGET", requires = "name")]
    from: Option<String>,
    /// Ids in a new user namespace: auto, single, or INSIDE:OUTSIDE:COUNT for users and
    /// groups alike (implies the kind user)
    #[arg(long, value_name = "MAP", requires = "name", conflicts_with = "from")]
    map: Vec<String>,
    /// Print what would be done, and do nothing
    #[arg(long, requires = "name")]
    plan: bool,
    /// Print the list as JSON
    #[arg(long, conflicts_with = "name")]
    json: bool,
    /// What they are to be called
    name: Option<String>,
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = Arguments::try_parse_from(arguments)?;
    let proc = ProcRoot::open().map_err(Failure::new)?;
    let host = Host::probe();
    let keeping = Keeping::of_caller(&host)?;
    match &arguments.name {
        Some(name) => make::run(&arguments, name, &keeping, &host, &proc)?,
        None => {
            let list = keeping.store.list(&proc)?;
            let text = if arguments.json {
                list::json(&keeping.store, &list, &proc)?
            } else {
                list::table(&list)
            };
            failure::print(&text)?;
        }
    }
    Ok(0)
}

/// Let kept namespaces go
///
/// Those that a process is in stay until it ends; but with a pid namespace that `warren
/// keep` made, all its processes end.
#[derive(Debug, Parser)]
#[command(
    name = "warren rm",
    bin_name = "warren rm",
    override_usage = "warren rm NAME..."
)]
struct RemoveArguments {
    /// What they are called
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub fn remove(arguments: &[OsString]) -> Result<u8, Failure> {
    let arguments = RemoveArguments::try_parse_from(arguments)?;
    let proc = ProcRoot::open().map_err(Failure::new)?;
    let keeping = Keeping::of_caller(&Host::probe())?;
    let mut code = 0;
    for name in &arguments.names {
        if let Err(error) = keeping.store.remove(&proc, name) {
            code = Failure::from(error).report();
        }
    }
    Ok(code)
}

/// Opens what the word of a user stands for.
pub fn find_target(word: &str, proc: &ProcRoot) -> Result<Found, Failure> {
    let target: Target = word.parse().map_err(Failure::usage)?;
    let stores = stores();
    let search = Search {
        proc,
        stores: &stores,
    };
    Ok(target.find(&search)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
        RemoveArguments::command().debug_assert();
    }

    #[test]
    fn options_of_making_need_a_name_and_those_of_the_list_have_none() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).is_ok();
        for good in [
            "keep",
            "keep --json",
            "keep web",
            "keep web --kinds net,uts --plan",
        ] {
            assert!(parse(good), "{good}");
        }
        for bad in [
            "keep --plan",
            "keep --kinds net",
            "keep --json web",
            "keep web --from 1 --map auto",
            "keep web shop",
        ] {
            assert!(!parse(bad), "{bad}");
        }
    }
}
