//! The table, as text and as JSON.

use std::collections::HashMap;

use serde::Serialize;

use super::inside::Line;
use super::probe::{Finding, Probe, State};
use super::probes;
use crate::columns::Columns;
use crate::failure::Failure;
use crate::{json, terminal, words};

/// Raised when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Debug, Serialize)]
pub struct Report {
    version: u32,
    /// Whether every row does.
    holds: bool,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    about: &'static str,
    name: &'static str,
    cve: Option<&'static str>,
    tries: &'static str,
    #[serde(flatten)]
    finding: Finding,
    /// What opens it; `None` where it holds.
    hint: Option<&'static str>,
}

impl Report {
    /// Of what the program inside has answered. `changed` are the files of the host that
    /// it has reached.
    pub fn new(lines: Vec<Line>, changed: &[&str]) -> Self {
        let answers = lines.into_iter().map(|line| (line.name, line.finding));
        let mut answers: HashMap<String, Finding> = answers.collect();
        let rows: Vec<Row> = probes::all()
            .map(|probe| {
                let told = answers.remove(probe.name);
                let none = || Finding::unknown("the command ended before it");
                row(probe, judged(probe, told.unwrap_or_else(none), changed))
            })
            .collect();
        Self {
            version: VERSION,
            holds: rows.iter().all(|row| row.finding.state == State::Holds),
            rows,
        }
    }

    pub fn holds(&self) -> bool {
        self.holds
    }

    pub fn json(&self) -> Result<String, Failure> {
        json::text(self)
    }

    pub fn text(&self) -> String {
        let mut out = Columns::new(terminal::width());
        let cells = self.rows.iter().map(|row| {
            let Row { about, name, .. } = row;
            let state = row.finding.state.name();
            let found = row.finding.found.clone();
            vec![
                (*about).to_owned(),
                (*name).to_owned(),
                state.to_owned(),
                found,
            ]
        });
        let head = ["ABOUT", "WHAT IS TRIED", "STATE", "FOUND"];
        out.table(0, &head, cells.collect());
        out.gap();
        for row in self.rows.iter().filter(|row| row.hint.is_some()) {
            let Row { name, tries, .. } = row;
            let state = row.finding.state.name();
            let hint = row.hint.unwrap_or_default();
            out.prose(0, &format!("{state}: {name}: the program {tries}; {hint}"));
        }
        let number = |state| {
            let of = self.rows.iter().filter(|row| row.finding.state == state);
            of.count()
        };
        let holding = number(State::Holds);
        let mut phrases = vec![words::count(holding, "holds", "hold")];
        for state in [State::Open, State::Unknown] {
            let found = number(state);
            if found > 0 {
                phrases.push(format!("{found} {}", state.name()));
            }
        }
        out.phrases(0, &phrases);
        out.finish()
    }
}

fn row(probe: &Probe, finding: Finding) -> Row {
    let hint = (finding.state != State::Holds).then_some(probe.hint);
    Row {
        about: probe.about,
        name: probe.name,
        cve: probe.cve,
        tries: probe.tries,
        finding,
        hint,
    }
}

/// Inside, a file that was written may be a copy of the run's own: whether it is not is
/// seen outside alone.
fn judged(probe: &Probe, told: Finding, changed: &[&str]) -> Finding {
    if probe.name != probes::files::WRITE {
        return told;
    }
    match (changed, told.state) {
        ([], State::Open) => Finding::holds("written to a copy of the run's own"),
        ([], _) => told,
        (changed, _) => Finding::open(changed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(state: fn(&Probe) -> Finding) -> Vec<Line> {
        probes::all()
            .map(|probe| Line {
                name: probe.name.to_owned(),
                finding: state(probe),
            })
            .collect()
    }

    #[test]
    fn a_probe_without_an_answer_does_not_hold() {
        let mut all = lines(|_| Finding::holds("refused"));
        assert!(Report::new(std::mem::take(&mut all), &[]).holds());
        let mut all = lines(|_| Finding::holds("refused"));
        all.pop();
        let report = Report::new(all, &[]);
        assert!(!report.holds());
        assert!(report.text().ends_with("hold, 1 unknown\n"));
    }

    #[test]
    fn what_was_written_counts_where_it_is_seen_outside() {
        let written = || lines(|_| Finding::open("in /home"));
        let state = |report: &Report| {
            let of = |row: &&Row| row.name == probes::files::WRITE;
            report.rows.iter().find(of).map(|row| row.finding.state)
        };
        assert_eq!(state(&Report::new(written(), &[])), Some(State::Holds));
        let refused = lines(|_| Finding::holds("refused"));
        assert_eq!(state(&Report::new(refused, &["/a"])), Some(State::Open));
    }

    #[test]
    fn what_is_open_is_explained() {
        let report = Report::new(
            lines(|probe| match probe.name {
                "setns" => Finding::open("it may"),
                _ => Finding::holds("refused"),
            }),
            &[],
        );
        let text = report.text();
        assert!(text.contains("open: setns: the program enters"), "{text}");
        assert!(text.ends_with("hold, 1 open\n"), "{text}");
    }
}
