//! What two insides do not have in common.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use warren_namespaces::Kind;

use crate::{Inside, Most};

/// One thing that is so: of a topic (`address`), with a name (`eth0 10.0.0.2/24`) and
/// what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    /// What it is about.
    pub topic: &'static str,
    /// Which of those; empty where there is one only.
    pub name: String,
    /// How it is.
    pub value: String,
}

impl Fact {
    pub(crate) fn new(
        topic: &'static str,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Self {
        Self {
            topic,
            name: name.into(),
            value: value.into(),
        }
    }
}

/// What can be compared.
pub(crate) trait Facts {
    /// Everything that would be worth telling if it were different. Counters and the
    /// like, which change by themselves, are not.
    fn facts(&self) -> Vec<Fact>;
}

/// A fact that does not hold on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is about: `mount`, `address`, `hostname`.
    pub topic: String,
    /// Which of those; empty where there is one only.
    pub name: String,
    /// How it is in the first; `None` where it is not there.
    pub a: Option<String>,
    /// How it is in the second.
    pub b: Option<String>,
}

/// What of a kind differs between two insides; `None` where one of them was not seen.
#[must_use]
pub fn differences(kind: Kind, a: &Inside, b: &Inside) -> Option<Vec<Difference>> {
    Some(compare(&facts(kind, a)?, &facts(kind, b)?))
}

fn facts(kind: Kind, of: &Inside) -> Option<Vec<Fact>> {
    match kind {
        Kind::Mnt => of.mnt.as_ref().map(Facts::facts),
        Kind::Net => of.net.as_ref().map(Facts::facts),
        Kind::Ipc => of.ipc.as_ref().map(Facts::facts),
        Kind::User => of.user.as_ref().map(|user| {
            let limits = of.limits.iter().flatten().map(Most::fact);
            user.facts().into_iter().chain(limits).collect()
        }),
        Kind::Pid => of.pid.as_ref().map(Facts::facts),
        Kind::Uts => of.uts.as_ref().map(Facts::facts),
        Kind::Cgroup => of.cgroup.as_ref().map(Facts::facts),
        Kind::Time => of.time.as_ref().map(Facts::facts),
    }
}

/// In the order in which the first has them; what only the second has comes behind.
fn compare(a: &[Fact], b: &[Fact]) -> Vec<Difference> {
    let mut of_b = numbered(b);
    let mut found = Vec::new();
    let mut seen = BTreeMap::new();
    for fact in a {
        let key = key(&mut seen, fact);
        let other = of_b.remove(&key);
        if other != Some(fact.value.as_str()) {
            found.push(difference(fact, Some(&fact.value), other));
        }
    }
    let mut seen = BTreeMap::new();
    for fact in b {
        if of_b.contains_key(&key(&mut seen, fact)) {
            found.push(difference(fact, None, Some(&fact.value)));
        }
    }
    found
}

fn difference(fact: &Fact, a: Option<&str>, b: Option<&str>) -> Difference {
    Difference {
        topic: fact.topic.to_owned(),
        name: fact.name.clone(),
        a: a.map(str::to_owned),
        b: b.map(str::to_owned),
    }
}

/// Two mounts can be at one place: the second is compared with the second.
type Key = (&'static str, String, usize);

fn key(seen: &mut BTreeMap<(&'static str, String), usize>, fact: &Fact) -> Key {
    let times = seen.entry((fact.topic, fact.name.clone())).or_default();
    *times += 1;
    (fact.topic, fact.name.clone(), *times)
}

fn numbered(facts: &[Fact]) -> BTreeMap<Key, &str> {
    let mut seen = BTreeMap::new();
    facts
        .iter()
        .map(|fact| (key(&mut seen, fact), fact.value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(name: &str, value: &str) -> Fact {
        Fact::new("mount", name, value)
    }

    #[test]
    fn what_is_on_one_side_only_and_what_differs_is_found() {
        let a = vec![fact("/", "ext4"), fact("/a", "x"), fact("/same", "y")];
        let b = vec![fact("/same", "y"), fact("/", "btrfs"), fact("/b", "z")];
        let found: Vec<_> = compare(&a, &b)
            .into_iter()
            .map(|difference| (difference.name, difference.a, difference.b))
            .collect();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            [
                ("/".to_owned(), text("ext4"), text("btrfs")),
                ("/a".to_owned(), text("x"), None),
                ("/b".to_owned(), None, text("z")),
            ]
        );
    }

    #[test]
    fn of_two_at_one_place_the_second_is_compared_with_the_second() {
        let a = vec![fact("/", "one"), fact("/", "two")];
        let b = vec![fact("/", "one")];
        let found = compare(&a, &b);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].a.as_deref(), &found[0].b), (Some("two"), &None));
    }

    #[test]
    fn the_same_facts_differ_in_nothing() {
        let facts = || vec![fact("/", "one"), fact("/", "two")];
        assert_eq!(compare(&facts(), &facts()), []);
    }

    #[test]
    fn a_kind_that_one_side_did_not_see_is_not_compared() {
        let empty = Inside::default();
        assert_eq!(differences(Kind::Uts, &empty, &empty), None);
    }
}
