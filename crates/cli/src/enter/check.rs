//! `warren enter --check`: what could be entered, and why not the rest.

use std::os::fd::AsFd;

use rustix::fs::AtFlags;
use serde::Serialize;
use warren_namespaces::{
    Kind, NsFd, Obstacle, ProcRoot, Rights, Stop, Target, errno_text, limits,
    limits::{GateSetting, UsernsGate},
    mountinfo, namespaces_of, route,
};
use warren_sys::Errno;

use super::Arguments;
use super::target::{Entered, wrap};
use crate::failure::{self, Failure};
use crate::json;

/// The answer, as `--json` gives it.
#[derive(Debug, Serialize)]
struct Answer {
    version: u32,
    target: String,
    pid: Option<u32>,
    possible: bool,
    kinds: Vec<Row>,
    cgroups: Option<Part>,
    notes: Vec<String>,
}

/// One kind of namespace.
#[derive(Debug, Serialize)]
struct Row {
    kind: Kind,
    inode: Option<u64>,
    owner: Option<u64>,
    #[serde(flatten)]
    part: Part,
}

/// Whether one part can be entered.
#[derive(Debug, Serialize)]
struct Part {
    enter: Verdict,
    errno: Option<String>,
    why: Option<String>,
    way_out: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Yes,
    No,
    Same,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Same => "same",
        }
    }
}

impl Part {
    fn yes() -> Self {
        Self {
            enter: Verdict::Yes,
            errno: None,
            why: None,
            way_out: None,
        }
    }

    fn same() -> Self {
        Self {
            enter: Verdict::Same,
            why: Some("the caller is in it".to_owned()),
            ..Self::yes()
        }
    }

    fn no(errno: Errno, why: impl Into<String>, way_out: Option<&str>) -> Self {
        Self {
            enter: Verdict::No,
            errno: Some(errno_text(errno)),
            why: Some(why.into()),
            way_out: way_out.map(str::to_owned),
        }
    }

    fn blocked(obstacle: &Obstacle) -> Self {
        Self::no(
            obstacle.errno(),
            obstacle.to_string(),
            Some(obstacle.way_out()),
        )
    }
}

pub fn run(arguments: &Arguments, proc: &ProcRoot) -> Result<u8, Failure> {
    let answer = match Entered::look(arguments, proc) {
        Ok(entered) => answer(arguments, &entered, proc)?,
        Err(failure) => closed(arguments, proc, failure)?,
    };
    if arguments.json {
        failure::print(&json::text(&answer)?)?;
    } else {
        failure::print(&table(&answer))?;
    }
    Ok(u8::from(!answer.possible))
}

fn answer(
    arguments: &Arguments,
    entered: &Entered,
    proc: &ProcRoot,
) -> Result<Answer, Failure> {
    let filter = refused_by_filter();
    let mut kinds = along_the_route(entered, filter)
        .map_err(|errno| wrap(&entered.name, errno_text(errno)))?;
    for namespace in &entered.same {
        // Passed over where there is something else to enter.
        let alone =
            arguments.kinds.contains(&Kind::User) && entered.namespaces.is_empty();
        let part = match namespace.kind() {
            Kind::User if alone => Part::blocked(&Obstacle::OwnUserNamespace),
            _ => Part::same(),
        };
        kinds.push(row(namespace, part));
    }
    kinds.sort_by_key(|row| row.kind);
    let cgroups = cgroups(arguments, entered, proc);
    let refused = |part: &Part| part.enter == Verdict::No;
    // The command goes on in its own groups where it is not told to join.
    let cgroup_needed = arguments.cgroup && cgroups.as_ref().is_some_and(refused);
    Ok(Answer {
        version: 1,
        target: entered.name.clone(),
        pid: entered.pid(),
        possible: !kinds.iter().any(|row| refused(&row.part)) && !cgroup_needed,
        kinds,
        cgroups,
        notes: notes(proc, filter),
    })
}

/// The answer for a process whose namespaces the caller may not even open; any other
/// failure is one here too.
fn closed(
    arguments: &Arguments,
    proc: &ProcRoot,
    failure: Failure,
) -> Result<Answer, Failure> {
    let (Target::Process(pid) | Target::ProcessInode { pid, .. }) = arguments.target
    else {
        return Err(failure);
    };
    let Err(error) = namespaces_of(proc, pid) else {
        return Err(failure);
    };
    if error.errno() != Errno::ACCESS {
        return Err(failure);
    }
    let (why, way_out) = not_examined(proc, pid);
    let wanted =
        |kind: &Kind| arguments.kinds.is_empty() || arguments.kinds.contains(kind);
    let row = |kind| Row {
        kind,
        inode: None,
        owner: None,
        part: Part::no(Errno::ACCESS, why.clone(), Some(way_out)),
    };
    Ok(Answer {
        version: 1,
        target: arguments.target.to_string(),
        pid: Some(pid),
        possible: false,
        kinds: Kind::ALL.into_iter().filter(wanted).map(row).collect(),
        cgroups: None,
        notes: notes(proc, None),
    })
}

/// Why the namespaces of a process may not even be opened, and the way out.
fn not_examined(proc: &ProcRoot, pid: u32) -> (String, &'static str) {
    let owner = rustix::fs::statat(proc, pid.to_string(), AtFlags::empty());
    let owner = owner.map(|stat| stat.st_uid);
    let own = rustix::process::geteuid().as_raw();
    let profile = limits::own_apparmor_profile(proc);
    let (why, way_out) = match (owner, profile) {
        (Ok(uid), _) if uid != own && own != 0 => (
            format!("it belongs to uid {uid}"),
            "be root (CAP_SYS_PTRACE)",
        ),
        (_, Some(profile)) => (
            format!("the AppArmor profile {profile} confines the caller"),
            // The file of a namespace is mounted nowhere.
            "give the profile the rule `ptrace read,` and the flag attach_disconnected",
        ),
        _ => (
            "it has capabilities that the caller lacks, or is not dumpable".to_owned(),
            "be root (CAP_SYS_PTRACE)",
        ),
    };
    (format!("the caller may not examine it: {why}"), way_out)
}

fn row(namespace: &NsFd, part: Part) -> Row {
    let inode = |found: &NsFd| found.id().ok().map(|id| id.inode);
    Row {
        kind: namespace.kind(),
        inode: inode(namespace),
        owner: namespace.owner().ok().and_then(|owner| inode(&owner)),
        part,
    }
}

/// Walks the route on paper: what the caller may do changes with each user namespace.
fn along_the_route(entered: &Entered, filter: Option<Errno>) -> Result<Vec<Row>, Errno> {
    let mut rights = entered.rights;
    let mut rows = Vec::new();
    for stop in route(&entered.namespaces, &entered.rights)? {
        match stop {
            Stop::Through(user) => {
                if rights.obstacle(&user)?.is_none() {
                    rights = rights.within(&user)?;
                }
            }
            Stop::Enter(kind) => {
                let found = entered.namespaces.iter().find(|found| found.kind() == kind);
                let Some(namespace) = found else { continue };
                let part = part(&rights, namespace, filter)?;
                if kind == Kind::User && part.enter == Verdict::Yes {
                    rights = rights.within(namespace)?;
                }
                rows.push(row(namespace, part));
            }
        }
    }
    Ok(rows)
}

fn part(rights: &Rights, namespace: &NsFd, filter: Option<Errno>) -> Result<Part, Errno> {
    if let Some(errno) = filter {
        let why = "a seccomp filter on the caller refuses setns";
        let way_out =
            "start from outside of the sandbox or container that has the filter";
        return Ok(Part::no(errno, why, Some(way_out)));
    }
    Ok(match rights.obstacle(namespace)? {
        Some(obstacle) => Part::blocked(&obstacle),
        None => Part::yes(),
    })
}

/// How a filter refuses setns(2); `None` where it gets through. To a descriptor that is
/// no namespace the kernel itself answers `EINVAL`.
fn refused_by_filter() -> Option<Errno> {
    let null = std::fs::File::open("/dev/null").ok()?;
    match warren_sys::setns(null.as_fd(), 0) {
        Err(errno) if errno != Errno::INVAL => Some(errno),
        _ => None,
    }
}

fn cgroups(arguments: &Arguments, entered: &Entered, proc: &ProcRoot) -> Option<Part> {
    Some(match super::open_cgroup(arguments, entered, proc)? {
        Ok(cgroup) if cgroup.is_own() => Part::same(),
        Ok(_) => Part::yes(),
        Err(error) => Part::no(
            error.errno(),
            error.to_string(),
            Some("be root, or leave them out: --no-cgroup"),
        ),
    })
}

/// What does not forbid to enter, and explains what may happen inside.
fn notes(proc: &ProcRoot, filter: Option<Errno>) -> Vec<String> {
    let Ok(own) = limits::own_restrictions(proc) else {
        return Vec::new();
    };
    let filtered = own.seccomp_filter && filter.is_none();
    let notes = [
        (
            filtered,
            "a seccomp filter looks at the system calls of the caller, and of the command",
        ),
        (
            own.no_new_privs,
            "the caller has given up new privileges: set-user-id programs get none inside",
        ),
        (
            mountinfo::own(proc).is_ok_and(|mounts| limits::lives_in_chroot(&mounts)),
            "the caller lives in a chroot: entering works, making a user namespace does not",
        ),
    ];
    let notes = notes.into_iter().filter(|(holds, _)| *holds);
    notes
        .map(|(_, note)| note.to_owned())
        .chain(of_apparmor(
            limits::own_apparmor_profile(proc),
            &limits::userns_gates(proc).unwrap_or_default(),
            own.has_sys_admin(),
        ))
        .collect()
}

/// AppArmor refuses no setns(2); it looks at what a confined command does inside, and at
/// user namespaces that are made without privilege.
fn of_apparmor(
    profile: Option<String>,
    gates: &[GateSetting],
    privileged: bool,
) -> Vec<String> {
    let confined = profile.map(|profile| {
        format!(
            "the AppArmor profile {profile} confines the caller, and the command: mounts and \
             user namespaces inside take its rules `mount,` and `userns,`"
        )
    });
    let closed = gates
        .iter()
        .filter(|gate| gate.gate == UsernsGate::AppArmor && gate.is_closed(privileged));
    let restricted = closed.map(|gate| {
        format!("{gate}: a user namespace that the command makes gives it no capability")
    });
    confined.into_iter().chain(restricted).collect()
}

fn table(answer: &Answer) -> String {
    let mut text = format!("{:<8}{:<22}{:<7}WHY\n", "KIND", "NAMESPACE", "ENTER");
    for row in &answer.kinds {
        let name = row.inode.map(|inode| format!("{}:[{inode}]", row.kind));
        let name = name.unwrap_or_default();
        text += &line(row.kind.name(), &name, &row.part);
    }
    if let Some(part) = &answer.cgroups {
        text += &line("cgroups", "", part);
    }
    for note in &answer.notes {
        text += &format!("note: {note}\n");
    }
    let mut told: Vec<&str> = Vec::new();
    let parts = answer
        .kinds
        .iter()
        .map(|row| &row.part)
        .chain(&answer.cgroups);
    for way_out in parts.filter_map(|part| part.way_out.as_deref()) {
        if !told.contains(&way_out) {
            told.push(way_out);
            text += &format!("hint: {way_out}\n");
        }
    }
    text
}

fn line(kind: &str, namespace: &str, part: &Part) -> String {
    let mut why = part.why.clone().unwrap_or_default();
    if let Some(errno) = &part.errno {
        why += &format!(" ({errno})");
    }
    let line = format!("{kind:<8}{namespace:<22}{:<7}{why}", part.enter.name());
    line.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        let place = "user:[4026531837]".to_owned();
        let obstacle = Obstacle::Missing {
            capability: "CAP_SYS_ADMIN",
            place,
            own: false,
        };
        let row = |kind, inode, part| Row {
            kind,
            inode: Some(inode),
            owner: Some(4_026_531_837),
            part,
        };
        Answer {
            version: 1,
            target: "process 7".to_owned(),
            pid: Some(7),
            possible: false,
            kinds: vec![
                row(Kind::Net, 4_026_531_840, Part::blocked(&obstacle)),
                row(Kind::User, 4_026_531_837, Part::same()),
            ],
            cgroups: Some(Part::yes()),
            notes: vec!["a note".to_owned()],
        }
    }

    #[test]
    fn the_table_says_why_and_the_way_out_once() {
        assert_eq!(
            table(&answer()),
            "KIND    NAMESPACE             ENTER  WHY\n\
             net     net:[4026531840]      no     the caller lacks CAP_SYS_ADMIN in \
             user:[4026531837], which owns it (Operation not permitted)\n\
             user    user:[4026531837]     same   the caller is in it\n\
             cgroups                       yes\n\
             note: a note\n\
             hint: be root, or the user who made that user namespace\n"
        );
    }

    #[test]
    fn apparmor_is_a_note_where_it_confines_or_restricts() {
        let restricts = [GateSetting {
            gate: UsernsGate::AppArmor,
            value: 1,
        }];
        let notes = of_apparmor(Some("shut (enforce)".to_owned()), &restricts, false);
        assert!(
            notes[0].contains("profile shut (enforce) confines"),
            "{notes:?}"
        );
        assert!(
            notes[1].contains("restrict_unprivileged_userns is 1"),
            "{notes:?}"
        );
        assert_eq!(of_apparmor(None, &restricts, true), [] as [String; 0]);
        assert_eq!(of_apparmor(None, &[], false), [] as [String; 0]);
    }

    #[test]
    fn the_json_has_numbers_as_numbers_and_nothing_left_out() {
        let text = json::text(&answer()).expect("it can be written");
        for part in [
            "\"version\": 1",
            "\"possible\": false",
            "\"inode\": 4026531840",
            "\"enter\": \"no\"",
            "\"why\": null",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
