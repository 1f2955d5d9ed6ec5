//! What a terminal cuts, beside the original in the same terminal.

use std::process::Command;

use warren_testkit::{Test, Tmux, program, staged, tests};

use super::Burrow;

pub const TESTS: &[Test] = tests! {
    Both:
        command_lines_are_cut_alike_at_80_and_40_columns;
    User:
        somebody_at_a_terminal_is_told_what_was_not_readable;
};

fn shell() -> Tmux {
    let mut shell: Command = program("sh");
    shell.env("PS1", "> ");
    let terminal = Tmux::start(&shell);
    terminal.shows(">");
    terminal
}

/// What a command shows on an empty screen. `number` is of this command alone, so that
/// its end is not mistaken for an earlier one's.
#[track_caller]
fn shown(terminal: &Tmux, line: &str, number: usize) -> Vec<String> {
    let end = format!("end-of-{number}");
    terminal.type_line(&format!("clear; {line}; echo end.of.{number} | tr . -"));
    terminal.shows_line(&end);
    let screen = terminal.screen();
    let lines = screen.lines().map(|line| line.trim_end().to_owned());
    lines.take_while(|line| *line != end).collect()
}

fn command_lines_are_cut_alike_at_80_and_40_columns() {
    let long = "sh -c 'sleep 1000; :' 1 2 3 4 5 6 7 8 9 中中中中中中中中中中中中中中中中中中中中中 1 2 3 4 5 6 7 8 9";
    let script = format!("{long} & echo ready; wait");
    let burrow = Burrow::with(&["--user", "--map-root-user"], &script, 1);
    let terminal = shell();
    let table = [
        "{pid}",
        "{pid} -l",
        "{pid} -n",
        "{pid} -u",
        "{pid} -o COMMAND,PID,USER",
        "{pid} -o COMMAND,PID,COMMAND",
        "-p {P} -t uts -t pid",
        "-p {P} -t pid --output-all",
        "-T -p {P} -t pid -o NS,TYPE,USER",
        "-p {P} -t uts -J",
        "-p {P} -t uts -r -l",
    ];
    let ours = format!("{} lsns", staged("warren").display());
    let (mut cases, mut commands) = (0, 0);
    for columns in [80, 40] {
        terminal.resize(columns, 50);
        for words in table {
            let words = burrow.fill(words).join(" ");
            // The original shows nothing where a process dies meanwhile.
            let mut theirs = Vec::new();
            while theirs.is_empty() {
                commands += 1;
                let line = format!("lsns {words} 2>/dev/null");
                theirs = shown(&terminal, &line, commands);
            }
            commands += 1;
            let ours = shown(&terminal, &format!("{ours} {words} 2>/dev/null"), commands);
            assert!(
                theirs == ours,
                "{words} at {columns}:\n{theirs:#?}\n{ours:#?}"
            );
            cases += 1;
        }
    }
    assert_eq!(cases, 22);
}

fn somebody_at_a_terminal_is_told_what_was_not_readable() {
    let terminal = shell();
    let warren = staged("warren").display().to_string();
    let lines = shown(&terminal, &format!("{warren} lsns -t uts"), 0);
    let text = lines.join("\n");
    assert!(
        text.contains("processes not readable\nhint: run as root"),
        "{text}"
    );
}
