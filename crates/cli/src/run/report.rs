//! `warren run --report`: the rules of a run, and which engine holds each.

use serde::Serialize;
use warren_confine::landlock::{Abi, Files, Handled, Landlock, Missing, Scopes};
use warren_confine::{Capability, CapabilitySet, Filter};
use warren_namespaces::Kind;
use warren_spawn::{Host, Namespace, Reach, Seccomp, Shown, Spec};

use crate::columns::Columns;
use crate::failure::Failure;
use crate::{json, terminal};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

/// What can hold a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Engine {
    Mounts,
    Landlock,
    Seccomp,
    Namespaces,
    Capabilities,
}

impl Engine {
    fn name(self) -> &'static str {
        match self {
            Self::Mounts => "mounts",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
            Self::Namespaces => "namespaces",
            Self::Capabilities => "capabilities",
        }
    }
}

/// One rule.
#[derive(Debug, Serialize)]
struct Rule {
    /// What it is about, in one word.
    about: &'static str,
    what: String,
    /// What may be done.
    allowed: String,
    /// Each of them alone; none if nothing does.
    held_by: Vec<Engine>,
}

/// The whole.
#[derive(Debug, Serialize)]
struct Report {
    version: u32,
    /// The kernel's, used or not.
    landlock_abi: Option<u32>,
    landlock: String,
    rules: Vec<Rule>,
    /// What is asked for and not held, or by less than it could be.
    best_effort: Vec<String>,
}

/// The report as text or JSON.
pub fn text(spec: &Spec, host: &Host, as_json: bool) -> Result<String, Failure> {
    let report = Facts::new(spec, host.landlock()).report();
    match as_json {
        true => json::text(&report),
        false => Ok(table(&report)),
    }
}

fn table(report: &Report) -> String {
    let mut out = Columns::new(terminal::width());
    let rows = report.rules.iter().map(|rule| {
        let engines: Vec<_> = rule.held_by.iter().map(|engine| engine.name()).collect();
        let engines = match engines.as_slice() {
            [] => "nothing".to_owned(),
            engines => engines.join(", "),
        };
        vec![
            rule.about.to_owned(),
            rule.what.clone(),
            rule.allowed.clone(),
            engines,
        ]
    });
    out.table(0, &["ABOUT", "WHAT", "ALLOWED", "HELD BY"], rows.collect());
    out.gap();
    out.prose(0, &format!("landlock: {}", report.landlock));
    for line in &report.best_effort {
        out.prose(0, &format!("best effort: {line}"));
    }
    out.finish()
}

/// What the rules follow from.
struct Facts<'a> {
    spec: &'a Spec,
    has: Result<Abi, Missing>,
    handled: Handled,
    capabilities: CapabilitySet,
    shown: Vec<Shown>,
}

impl<'a> Facts<'a> {
    fn new(spec: &'a Spec, has: Result<Abi, Missing>) -> Self {
        let wanted = spec.landlock.as_ref();
        Self {
            spec,
            has,
            handled: wanted.map(|wanted| wanted.handled(has)).unwrap_or_default(),
            capabilities: spec.capabilities.unwrap_or(CapabilitySet::ALL),
            shown: spec.shown(),
        }
    }

    fn report(&self) -> Report {
        let mut rules: Vec<_> = self.shown.iter().map(|shown| self.path(shown)).collect();
        rules.push(self.rest_of_the_host());
        rules.push(self.network());
        rules.extend(self.ports());
        rules.push(self.abstract_sockets());
        rules.push(self.signals());
        rules.extend(self.namespaces());
        rules.push(self.nested_user_namespaces());
        rules.push(self.capabilities());
        rules.extend(self.calls());
        Report {
            version: VERSION,
            landlock_abi: self.has.ok().map(Abi::number),
            landlock: self.landlock(),
            rules,
            best_effort: self.best_effort(),
        }
    }

    // Files.

    fn path(&self, shown: &Shown) -> Rule {
        let is_hidden = shown.reach == Reach::Nothing;
        Rule {
            about: if is_hidden { "hidden" } else { "path" },
            what: shown.target.display().to_string(),
            allowed: shown.reach.to_string(),
            held_by: self.with_landlock(Engine::Mounts, self.landlock_holds(shown)),
        }
    }

    /// Rules of Landlock only allow: one above, or on the same files elsewhere, that allows
    /// more is not taken back.
    fn landlock_holds(&self, shown: &Shown) -> bool {
        let more = |other: &Shown| {
            let more = other.rights() - shown.rights();
            let changes = Files::WRITE | Files::MAKE_FILE | Files::REMOVE_FILE;
            match shown.reach {
                Reach::Nothing => !more.is_empty(),
                _ => more.intersects(changes),
            }
        };
        let reaches =
            |other: &Shown| lies_in(shown, other) || is_elsewhere_too(shown, other);
        !self.handled.files.is_empty()
            && !self.shown.iter().any(|other| reaches(other) && more(other))
    }

    fn rest_of_the_host(&self) -> Rule {
        Rule {
            about: "hidden",
            what: "all other files of the host".to_owned(),
            allowed: "nothing".to_owned(),
            held_by: self.with_landlock(Engine::Mounts, !self.handled.files.is_empty()),
        }
    }

    // What is no file.

    fn network(&self) -> Rule {
        let is_own = self.is_new(Kind::Net);
        Rule {
            about: "network",
            what: if is_own {
                "its own lo".to_owned()
            } else {
                "the host's network".to_owned()
            },
            allowed: "use".to_owned(),
            held_by: is_own.then_some(Engine::Namespaces).into_iter().collect(),
        }
    }

    fn ports(&self) -> Vec<Rule> {
        let ports = self
            .spec
            .landlock
            .as_ref()
            .and_then(|wanted| wanted.ports.as_ref());
        let Some(ports) = ports else {
            return Vec::new();
        };
        let rule = |numbers: &[u16], allowed: &str| {
            let numbers: Vec<_> = numbers.iter().map(u16::to_string).collect();
            Rule {
                about: "tcp",
                what: match numbers.is_empty() {
                    true => "no port".to_owned(),
                    false => format!("port {}", numbers.join(", ")),
                },
                allowed: allowed.to_owned(),
                held_by: vec![Engine::Landlock],
            }
        };
        vec![rule(&ports.connect, "connect"), rule(&ports.bind, "bind")]
    }

    fn abstract_sockets(&self) -> Rule {
        let scoped = self.handled.scopes.contains(Scopes::ABSTRACT_SOCKETS);
        self.kept_apart("sockets", "abstract sockets of the host", Kind::Net, scoped)
    }

    fn signals(&self) -> Rule {
        let scoped = self.handled.scopes.contains(Scopes::SIGNALS);
        self.kept_apart("signals", "processes of the host", Kind::Pid, scoped)
    }

    fn kept_apart(
        &self,
        about: &'static str,
        what: &str,
        kind: Kind,
        scoped: bool,
    ) -> Rule {
        let own = self.is_new(kind).then_some(Engine::Namespaces);
        let held_by: Vec<_> = own
            .into_iter()
            .chain(scoped.then_some(Engine::Landlock))
            .collect();
        let allowed = match held_by.is_empty() {
            true => "as their owner's rights allow",
            false => "nothing",
        };
        Rule {
            about,
            what: what.to_owned(),
            allowed: allowed.to_owned(),
            held_by,
        }
    }

    fn namespaces(&self) -> Vec<Rule> {
        let rule = |what: &str, kinds: Vec<&str>, held_by| Rule {
            about: "namespaces",
            what: kinds.join(", "),
            allowed: what.to_owned(),
            held_by,
        };
        let kinds = |is_new: bool| -> Vec<&str> {
            let all = Kind::ALL.into_iter();
            all.filter(|kind| self.is_new(*kind) == is_new)
                .map(Kind::name)
                .collect()
        };
        let (own, shared) = (kinds(true), kinds(false));
        let mut rules = vec![rule("its own", own, vec![Engine::Namespaces])];
        if !shared.is_empty() {
            rules.push(rule("the caller's", shared, Vec::new()));
        }
        rules
    }

    fn nested_user_namespaces(&self) -> Rule {
        let limit = self.spec.no_nested_user_namespaces;
        let filter = self.spec.seccomp == Seccomp::Sandbox;
        let limit = limit.then_some(Engine::Namespaces).into_iter();
        Rule {
            about: "namespaces",
            what: "user, below its own".to_owned(),
            allowed: "nothing".to_owned(),
            held_by: limit.chain(filter.then_some(Engine::Seccomp)).collect(),
        }
    }

    fn capabilities(&self) -> Rule {
        Rule {
            about: "privilege",
            what: "capabilities, and no way to more".to_owned(),
            allowed: self.capabilities.to_string(),
            held_by: vec![Engine::Capabilities],
        }
    }

    fn calls(&self) -> Vec<Rule> {
        let rule = |what: &str, allowed: &str| Rule {
            about: "calls",
            what: what.to_owned(),
            allowed: allowed.to_owned(),
            held_by: vec![Engine::Seccomp],
        };
        let refused = match self.spec.seccomp {
            Seccomp::Sandbox => Filter::refused(self.capabilities),
            Seccomp::Off => Vec::new(),
        };
        let profile = self.spec.syscalls.as_ref();
        let profile = profile.map(|_| rule("all", "what the profile allows"));
        refused
            .into_iter()
            .map(|what| rule(what, "nothing"))
            .chain(profile)
            .collect()
    }

    // What the reader must know besides.

    fn landlock(&self) -> String {
        match (&self.spec.landlock, self.has) {
            (_, Err(missing)) => missing.to_string(),
            (None, Ok(abi)) => format!("{abi}, not used: --landlock turns it on"),
            (Some(_), Ok(abi)) => abi.to_string(),
        }
    }

    fn best_effort(&self) -> Vec<String> {
        let mut lines = Vec::new();
        match (&self.spec.landlock, self.has) {
            (Some(_), Err(missing)) => lines.push(format!(
                "--landlock holds nothing: {missing}; --require landlock would fail"
            )),
            (Some(_), Ok(abi)) => lines.extend(Landlock::lacks(abi).map(|lack| {
                let (what, needs) = (lack.what, lack.needs);
                format!("Landlock does not hold {what}, which needs {needs}")
            })),
            (None, _) => {}
        }
        if self
            .spec
            .landlock
            .as_ref()
            .is_some_and(|wanted| wanted.ports.is_some())
        {
            lines.push(
                "ports are those of TCP: other protocols are as the network is"
                    .to_owned(),
            );
        }
        if self.capabilities.contains(Capability::SYS_ADMIN)
            && self.handled.files.is_empty()
        {
            lines.push(
                "with CAP_SYS_ADMIN mounts can be changed: what is read-only or hidden is \
                 so until then"
                    .to_owned(),
            );
        }
        lines
    }

    fn with_landlock(&self, first: Engine, held: bool) -> Vec<Engine> {
        let landlock = held.then_some(Engine::Landlock);
        [first].into_iter().chain(landlock).collect()
    }

    fn is_new(&self, kind: Kind) -> bool {
        *self.spec.namespaces.get(kind) == Namespace::New
    }
}

fn lies_in(shown: &Shown, other: &Shown) -> bool {
    shown.target != other.target && shown.target.starts_with(&other.target)
}

/// Whether some of the same files are shown at another place as well.
fn is_elsewhere_too(shown: &Shown, other: &Shown) -> bool {
    let (Some(source), Some(part)) = (&shown.source, &other.source) else {
        return false;
    };
    part.strip_prefix(source)
        .is_ok_and(|rest| shown.target.join(rest).as_path() != other.target.as_path())
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_namespaces::NamespaceSet;
    use warren_spawn::{Access, Mount, Namespaces, Root};

    fn bind(source: &str, target: &str, access: Access) -> Mount {
        Mount::bind(source, target, access)
    }

    fn spec(mounts: Vec<Mount>) -> Spec {
        Spec {
            namespaces: Namespaces::new_of(NamespaceSet::ALL),
            root: Root::Empty,
            mounts,
            capabilities: Some(CapabilitySet::EMPTY),
            landlock: Some(Landlock::default()),
            ..Spec::new("true")
        }
    }

    fn report(spec: &Spec, abi: u32) -> Report {
        Facts::new(spec, Ok(Abi::new(abi))).report()
    }

    #[track_caller]
    fn held(report: &Report, what: &str) -> String {
        let rule = report.rules.iter().find(|rule| rule.what == what);
        let engines = &rule.expect(what).held_by;
        let names: Vec<_> = engines.iter().map(|engine| engine.name()).collect();
        names.join(" ")
    }

    #[test]
    fn a_path_is_held_twice() {
        let spec = spec(vec![bind("/usr", "/usr", Access::ReadOnly)]);
        let report = report(&spec, 7);
        assert_eq!(held(&report, "/usr"), "mounts landlock");
        assert_eq!(
            held(&report, "all other files of the host"),
            "mounts landlock"
        );
        assert_eq!(
            held(&report, "processes of the host"),
            "namespaces landlock"
        );
    }

    #[test]
    fn what_lies_in_something_wider_is_held_by_mounts_alone() {
        let mounts = vec![
            bind("/srv", "/srv", Access::ReadWrite),
            bind("/etc", "/srv/etc", Access::ReadOnly),
            Mount::Mask {
                target: "/srv/secret".into(),
            },
        ];
        let report = report(&spec(mounts), 7);
        assert_eq!(held(&report, "/srv"), "mounts landlock");
        assert_eq!(held(&report, "/srv/etc"), "mounts");
        assert_eq!(held(&report, "/srv/secret"), "mounts");
    }

    #[test]
    fn files_that_are_writable_elsewhere_are_held_by_mounts_alone() {
        let mounts = vec![
            bind("/srv", "/a", Access::ReadOnly),
            bind("/srv/sub", "/b", Access::ReadWrite),
        ];
        assert_eq!(held(&report(&spec(mounts), 7), "/a"), "mounts");
        // At its own place it is what lies there.
        let mounts = vec![
            bind("/srv", "/a", Access::ReadOnly),
            bind("/srv/sub", "/a/sub", Access::ReadWrite),
        ];
        assert_eq!(held(&report(&spec(mounts), 7), "/a"), "mounts landlock");
    }

    #[test]
    fn an_older_kernel_holds_less_and_the_report_says_so() {
        let spec = spec(vec![bind("/usr", "/usr", Access::ReadOnly)]);
        let report = report(&spec, 2);
        assert_eq!(held(&report, "/usr"), "mounts landlock");
        assert_eq!(held(&report, "processes of the host"), "namespaces");
        let line = "Landlock does not hold whether a file that may only be read is \
                    emptied, which needs ABI 3";
        assert!(report.best_effort.iter().any(|told| told == line));
    }

    #[test]
    fn without_landlock_only_the_rest_holds() {
        let mut spec = spec(vec![bind("/usr", "/usr", Access::ReadOnly)]);
        spec.capabilities = Some(CapabilitySet::ALL);
        let report = Facts::new(&spec, Err(Missing::NotBuilt)).report();
        assert_eq!(held(&report, "/usr"), "mounts");
        assert_eq!(report.landlock, "this kernel has no Landlock");
        assert_eq!(report.landlock_abi, None);
        assert_eq!(report.best_effort.len(), 2, "{:?}", report.best_effort);
    }

    #[test]
    fn a_network_that_is_shared_is_held_by_nothing() {
        let mut spec = spec(Vec::new());
        spec.namespaces.set(Kind::Net, Namespace::Inherit);
        let report = report(&spec, 5);
        assert_eq!(held(&report, "the host's network"), "");
        assert_eq!(held(&report, "abstract sockets of the host"), "");
    }
}
