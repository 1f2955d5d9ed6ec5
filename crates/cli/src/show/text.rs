//! The form for people: a section for each kind.

mod ids;
mod network;

use warren_inspect::{Amount, Cgroup, Clocks, Ipc, Mounts, Pids, Uts};
use warren_namespaces::{Kind, NamespaceSet};

use super::units::{bytes, count, cpus, seconds};
use super::view::{Place, View};
use crate::columns::Columns;

/// Where the content of a section begins.
const INDENT: usize = 2;

/// The whole text.
pub fn render(view: &View, kinds: NamespaceSet, width: Option<usize>) -> String {
    let mut out = Columns::new(width);
    let command = view.command.iter().map(|command| format!(": {command}"));
    let title = std::iter::once(view.name.clone()).chain(command);
    out.line(0, &title.collect::<String>());
    for kind in kinds.iter() {
        let is_known = view.place(kind).is_some() || view.inside.has(kind);
        if is_known || view.unexamined {
            section(&mut out, view, kind);
        }
    }
    footer(&mut out, view);
    out.finish()
}

fn section(out: &mut Columns, view: &View, kind: Kind) {
    out.gap();
    match view.place(kind) {
        Some(place) => heading(out, place),
        None => out.line(0, &format!("{kind}:[?]")),
    }
    let inside = &view.inside;
    match kind {
        Kind::Mnt => inside.mnt.iter().for_each(|mounts| mnt(out, mounts)),
        Kind::Net => inside.net.iter().for_each(|net| network::section(out, net)),
        Kind::Ipc => inside.ipc.iter().for_each(|it| ipc(out, it)),
        Kind::User => inside.user.iter().for_each(|user| ids::section(out, user)),
        Kind::Pid => inside.pid.iter().for_each(|pids| processes(out, pids)),
        Kind::Uts => inside.uts.iter().for_each(|names| uts(out, names)),
        Kind::Cgroup => inside.cgroup.iter().for_each(|it| cgroup(out, it)),
        Kind::Time => inside.time.iter().for_each(|clocks| time(out, *clocks)),
    }
    let missing = inside.missing.iter().filter(|hole| hole.kind == kind);
    for hole in missing {
        out.line(
            INDENT,
            &format!("not seen: {} ({})", hole.what, hole.reason),
        );
    }
    let is_missing = inside.missing.iter().any(|hole| hole.kind == kind);
    if !inside.has(kind) && !is_missing {
        out.line(INDENT, "not seen: the process may not be examined");
    }
}

/// `net:[4026532251]`, and how it stands to others.
fn heading(out: &mut Columns, place: &Place) {
    let own = if place.own { "  (this shell's)" } else { "" };
    out.line(0, &format!("{}:[{}]{own}", place.kind, place.inode));
    let mut phrases = vec![count(place.processes, "process", "processes")];
    phrases.extend(place.level.map(|level| format!("level {level}")));
    match (place.parent, place.owner) {
        (Some(parent), owner) => {
            phrases.push(format!("parent {}:[{parent}]", place.kind));
            let other = owner.filter(|owner| *owner != parent);
            phrases.extend(other.map(|owner| format!("owner user:[{owner}]")));
        }
        (None, owner) => {
            phrases.extend(owner.map(|owner| format!("owner user:[{owner}]")));
        }
    }
    let maker = place.owner_uid.filter(|_| place.parent.is_some());
    phrases.extend(maker.map(|uid| format!("made by uid {}", ids::name(uid))));
    phrases.extend(place.limit.map(|limit| limit_in_words(place, limit)));
    out.phrases(INDENT, &phrases);
}

/// `max_net_namespaces 96364, 2 found`.
fn limit_in_words(place: &Place, limit: u64) -> String {
    /// What the kernel gives every new user namespace.
    const NONE: u64 = i32::MAX as u64;
    let name = place.kind.limit();
    match (limit, place.found) {
        (NONE.., _) => format!("{name} unlimited"),
        (_, 0) => format!("{name} {limit}"),
        (_, found) => format!("{name} {limit}, {found} found"),
    }
}

fn footer(out: &mut Columns, view: &View) {
    if view.inside.missing.is_empty() && !view.unexamined {
        return;
    }
    out.gap();
    out.prose(
        0,
        "Not everything was to be seen: entering takes the rights of root of the user \
         namespace that owns it. Run as root.",
    );
}

fn mnt(out: &mut Columns, mounts: &Mounts) {
    let rows = mounts.mounts.iter().map(|mount| {
        let part = if mount.root == "/" {
            mount.source.clone()
        } else {
            format!("{}[{}]", mount.source, mount.root)
        };
        vec![
            mount.mount_point.clone(),
            mount.filesystem.clone(),
            part,
            mount.options.clone(),
        ]
    });
    out.line(INDENT, &count(mounts.mounts.len(), "mount", "mounts"));
    let head = ["MOUNT POINT", "TYPE", "SOURCE", "OPTIONS"];
    out.table(INDENT, &head, rows.collect());
}

fn uts(out: &mut Columns, names: &Uts) {
    let mut rows = vec![vec!["hostname".to_owned(), names.hostname.clone()]];
    if let Some(domain) = &names.domainname {
        rows.push(vec!["domainname".to_owned(), domain.clone()]);
    }
    out.rows(INDENT, &rows);
}

fn time(out: &mut Columns, clocks: Clocks) {
    let rows = clocks
        .words()
        .map(|(clock, offset)| vec![clock.to_owned(), offset]);
    out.rows(INDENT, &rows);
}

fn processes(out: &mut Columns, pids: &Pids) {
    const SHORT: usize = 20;
    let all = pids.members.len();
    let shown = if out.is_short() && all > SHORT {
        SHORT
    } else {
        all
    };
    let rows = pids.members.iter().take(shown).map(|member| {
        let levels = member.pids.iter().map(u32::to_string);
        let levels: Vec<String> = levels.collect();
        vec![
            member.pid.to_string(),
            levels.join(" > "),
            member.command.clone(),
        ]
    });
    out.table(INDENT, &["PID", "AT EACH LEVEL", "NAME"], rows.collect());
    if shown < all {
        let more = all - shown;
        out.line(
            INDENT,
            &format!("... and {more} more; all of them in a pipe"),
        );
    }
}

fn ipc(out: &mut Columns, objects: &Ipc) {
    let key = |key: i64| format!("{:#010x}", key as u32);
    let owner = |uid: u32| match objects.uids_inside {
        true => format!("{uid} inside"),
        false => ids::name(uid),
    };
    let mut rows = Vec::new();
    for shm in &objects.shm {
        let what = format!("{}, {} attached", bytes(shm.bytes), shm.attached);
        rows.push(
            [
                "shm",
                &key(shm.key),
                &shm.id.to_string(),
                &owner(shm.uid),
                &what,
            ]
            .map(str::to_owned),
        );
    }
    for sem in &objects.sem {
        let what = format!("{} semaphores", sem.semaphores);
        rows.push(
            [
                "sem",
                &key(sem.key),
                &sem.id.to_string(),
                &owner(sem.uid),
                &what,
            ]
            .map(str::to_owned),
        );
    }
    for msg in &objects.msg {
        let what = format!("{} messages, {}", msg.messages, bytes(msg.bytes));
        rows.push(
            [
                "msg",
                &key(msg.key),
                &msg.id.to_string(),
                &owner(msg.uid),
                &what,
            ]
            .map(str::to_owned),
        );
    }
    for name in objects.mqueues.iter().flatten() {
        rows.push(["mqueue", name, "", "", ""].map(str::to_owned));
    }
    if rows.is_empty() {
        out.line(INDENT, "no objects");
    }
    let rows = rows.into_iter().map(Vec::from).collect();
    out.table(INDENT, &["KIND", "KEY", "ID", "OWNER", "WHAT"], rows);
}

fn cgroup(out: &mut Columns, cgroup: &Cgroup) {
    let unknown = || "?".to_owned();
    let rows = cgroup.hierarchies.iter().map(|membership| {
        vec![
            membership.name(),
            membership.path.clone().unwrap_or_else(unknown),
            membership.inside.clone().unwrap_or_else(unknown),
        ]
    });
    let head = ["HIERARCHY", "CGROUP", "AS SEEN INSIDE"];
    out.table(INDENT, &head, rows.collect());
    let usage = &cgroup.usage;
    let mut rows = Vec::new();
    let mut row = |name: &str, words: String| rows.push(vec![name.to_owned(), words]);
    if let Some(memory) = &usage.memory {
        row("memory", amount(memory, bytes));
    }
    if let Some(pids) = &usage.pids {
        row("pids", amount(pids, |number| number.to_string()));
    }
    if let Some(cpu) = &usage.cpu {
        let used = cpu.used_us.map_or_else(unknown, seconds);
        let quota = cpu.quota.as_ref().map(|quota| {
            let share = cpus(quota.quota_us, quota.period_us);
            format!(" at most {share} CPUs (set in {})", quota.of.display())
        });
        row(
            "cpu",
            format!(
                "{used} used,{}",
                quota.unwrap_or_else(|| " no limit".to_owned())
            ),
        );
    }
    if let Some(io) = &usage.io {
        row(
            "io",
            format!("{} read, {} written", bytes(io.read), bytes(io.written)),
        );
    }
    out.rows(INDENT, &rows);
}

/// `12.0M of 256.0M (set in /a)`.
fn amount(amount: &Amount, unit: impl Fn(u64) -> String) -> String {
    let used = amount.used.map_or_else(|| "?".to_owned(), &unit);
    match &amount.limit {
        Some(limit) => {
            let most = unit(limit.most);
            format!("{used} of {most} (set in {})", limit.of.display())
        }
        None => format!("{used} used, no limit"),
    }
}

#[cfg(test)]
mod tests;
