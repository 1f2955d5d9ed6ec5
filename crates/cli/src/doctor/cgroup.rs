//! Cgroups: the layout, and what of them is the caller's.

use warren_cgroups::{Delegation, Hierarchies, Layout, systemd_runs};

use super::facts::Facts;
use super::{Check, Section, State};
use crate::failure::Failure;

pub fn section(facts: &Facts) -> Result<Section, Failure> {
    let hierarchies = Hierarchies::from_mounts(&facts.mounts);
    let delegations = hierarchies.delegations(&facts.proc).map_err(Failure::new)?;
    let systemd = systemd_runs();
    Ok(Section {
        name: "cgroups",
        checks: vec![
            layout(hierarchies.layout()),
            delegated(&delegations, systemd),
            service_manager(systemd),
        ],
    })
}

fn layout(layout: Layout) -> Check {
    let why = "a run is limited and counted by a cgroup of its own";
    let check = Check::ok("layout", layout.to_string(), why);
    match layout {
        Layout::None => check.but(
            State::Missing,
            "mount it: mount -t cgroup2 cgroup2 /sys/fs/cgroup",
        ),
        _ => check,
    }
}

fn delegated(delegations: &[Delegation], systemd: bool) -> Check {
    let why = "limits on memory, processes and CPU need a cgroup in which the caller \
               may make groups";
    let name = "delegated";
    let whole: Vec<&Delegation> = delegations
        .iter()
        .filter(|delegation| delegation.is_whole())
        .collect();
    let mut controllers: Vec<&str> = whole
        .iter()
        .flat_map(|delegation| &delegation.controllers)
        .map(String::as_str)
        // A named v1 hierarchy groups processes and limits nothing.
        .filter(|name| !name.starts_with("name="))
        .collect();
    controllers.sort_unstable();
    if !controllers.is_empty() {
        return Check::ok(name, controllers.join(" "), why);
    }
    let found = match whole.first() {
        Some(group) => format!("{}, without controllers", group.folder.display()),
        None => "nothing".to_owned(),
    };
    let fix = if systemd {
        "start it in a delegated scope: systemd-run --user --scope -p Delegate=yes \
         warren run ..."
    } else {
        "have root make a group and give it: chown USER GROUP GROUP/cgroup.procs \
         GROUP/cgroup.subtree_control"
    };
    Check::ok(name, found, why).but(State::Missing, fix)
}

fn service_manager(systemd: bool) -> Check {
    let why = "where systemd runs, cgroups are its own and are asked for over D-Bus";
    let found = if systemd { "runs" } else { "does not run" };
    Check::ok("systemd", found, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delegation(controllers: &[&str], writable: bool) -> Delegation {
        Delegation {
            controllers: controllers.iter().map(|name| (*name).to_owned()).collect(),
            v2: true,
            folder: "/sys/fs/cgroup/a".into(),
            groups: writable,
            procs: writable,
            subtree_control: writable,
        }
    }

    #[test]
    fn only_what_is_writable_counts_as_delegated() {
        let mine = delegation(&["pids", "memory"], true);
        assert_eq!(delegated(&[mine], true).found, "memory pids");
        let others = delegated(&[delegation(&["memory"], false)], true);
        assert_eq!(
            (others.state, others.found.as_str()),
            (State::Missing, "nothing")
        );
        let bare = delegated(&[delegation(&[], true)], false);
        assert_eq!(bare.found, "/sys/fs/cgroup/a, without controllers");
    }
}
