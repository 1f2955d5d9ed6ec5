//! What this machine says of a kind.

use warren_cgroups::Hierarchies;
use warren_namespaces::limits::{self, KernelVersion};
use warren_namespaces::{Kind, NamespaceIds, ProcRoot, Snapshot, namespaces_of};

use crate::show::units::count;

/// A sentence for each fact; what cannot be read is left out.
pub fn of(kind: Kind, proc: &ProcRoot, snapshot: &Snapshot) -> Vec<String> {
    let mut facts = vec![age(kind), found(kind, snapshot)];
    facts.extend(place(kind, proc, snapshot));
    facts.extend(limit(kind, proc));
    match kind {
        Kind::Mnt => facts.extend(mounts(proc)),
        Kind::User => facts.extend(gates(proc)),
        Kind::Pid => facts.extend(pid_max(proc)),
        Kind::Cgroup => facts.extend(layout(proc)),
        Kind::Net | Kind::Ipc | Kind::Uts | Kind::Time => {}
    }
    facts
}

/// The first Linux in which the kind was complete; namespaces(7) and the kinds' pages.
fn age(kind: Kind) -> String {
    let since = match kind {
        Kind::Mnt => "2.4.19",
        Kind::Net => "2.6.29",
        Kind::Ipc | Kind::Uts => "2.6.19",
        Kind::Pid => "2.6.24",
        Kind::User => "3.8",
        Kind::Cgroup => "4.6",
        Kind::Time => "5.6",
    };
    let running = KernelVersion::running();
    format!("Linux has it since {since}; this is {running}.")
}

fn found(kind: Kind, snapshot: &Snapshot) -> String {
    let of_kind = snapshot.namespaces.iter();
    let number = of_kind.filter(|found| found.kind == kind).count();
    let found = count(number, "namespace was found", "namespaces were found");
    match snapshot.unreadable.len() {
        0 => format!("{found}."),
        holes => {
            let holes = count(holes, "thing was", "things were");
            format!("{found}; {holes} not readable, so there may be more.")
        }
    }
}

fn place(kind: Kind, proc: &ProcRoot, snapshot: &Snapshot) -> Option<String> {
    let own: NamespaceIds = namespaces_of(proc, std::process::id()).ok()?;
    let own = own.get(kind)?;
    let mut text = format!("This shell is in {kind}:[{}]", own.inode);
    let host = snapshot.reference.filter(|reference| reference.pid <= 2);
    if let Some(host) = host {
        let is_host = host.namespaces.get(kind) == Some(own);
        text.push_str(if is_host {
            ", the host's"
        } else {
            ", which is not the host's"
        });
    }
    Some(text + ".")
}

fn limit(kind: Kind, proc: &ProcRoot) -> Option<String> {
    let most = limits::max_namespaces(proc, kind).ok()??;
    let sysctl = kind.limit();
    Some(format!("Each user may make {most} here (user.{sysctl})."))
}

fn mounts(proc: &ProcRoot) -> Option<String> {
    let own = warren_namespaces::mountinfo::own(proc).ok()?.len();
    let most = proc.sysctl("fs/mount-max").ok()??;
    let own = count(own, "mount", "mounts");
    Some(format!(
        "This one has {own} of at most {most} (fs.mount-max)."
    ))
}

fn gates(proc: &ProcRoot) -> Vec<String> {
    let settings = limits::userns_gates(proc).unwrap_or_default();
    let sentence = |setting: limits::GateSetting| {
        let shut = |privileged| setting.is_closed(privileged);
        let means = match (shut(false), shut(true)) {
            (false, _) => "open to everybody".to_owned(),
            (true, true) => format!("shut; to open it: {}", setting.gate.fix()),
            (true, false) => {
                format!("open to root alone; to open it: {}", setting.gate.fix())
            }
        };
        format!("{setting}: {means}.")
    };
    settings.into_iter().map(sentence).collect()
}

fn pid_max(proc: &ProcRoot) -> Option<String> {
    let most = proc.sysctl("kernel/pid_max").ok()??;
    Some(format!("Pids go up to {} (kernel.pid_max).", most - 1))
}

fn layout(proc: &ProcRoot) -> Option<String> {
    let layout = Hierarchies::detect(proc).ok()?.layout();
    Some(format!("The cgroup hierarchies mounted here: {layout}."))
}
