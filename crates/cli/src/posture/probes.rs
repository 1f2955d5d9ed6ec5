//! All probes, by what they are about.

mod calls;
pub mod files;
pub mod inherited;
mod network;
mod privilege;
mod proc;
pub mod processes;
mod terminal;

use super::probe::Probe;

/// All of them, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Probe> {
    [
        terminal::PROBES,
        inherited::PROBES,
        privilege::PROBES,
        files::PROBES,
        proc::PROBES,
        processes::PROBES,
        network::PROBES,
        calls::PROBES,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_all_have_words() {
        let mut names: Vec<&str> = all().map(|probe| probe.name).collect();
        let number = names.len();
        assert!(number > 50, "{number} probes");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), number);
        for probe in all() {
            assert!(
                !probe.tries.is_empty() && !probe.hint.is_empty(),
                "{}",
                probe.name
            );
        }
    }
}
