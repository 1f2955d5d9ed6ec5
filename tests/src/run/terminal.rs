//! `-t`: a terminal of its own inside, driven here through tmux.

use std::fs;

use warren_testkit::{Test, Tmux, program, scratch, staged, tests, warren};

pub const TESTS: &[Test] = tests! {
    Both:
        the_terminal_inside_is_a_new_one,
        control_c_ends_the_foreground_job_alone,
        control_z_stops_a_job_and_fg_takes_it_up,
        a_resize_reaches_the_inside,
        an_editor_works,
        the_outer_terminal_is_as_before,
        control_c_ends_a_run_without_its_own_terminal,
        control_z_gives_the_callers_shell_its_terminal_back,
        the_callers_terminal_is_not_to_be_opened_behind_redirected_streams,
        without_a_terminal_t_still_gives_one_inside;
};

/// A shell inside, in its own terminal.
#[track_caller]
fn shell_in_terminal() -> Tmux {
    let terminal =
        Tmux::start(&warren(["run", "-t", "--env", "PS1=> ", "--", "sh", "-i"]));
    terminal.shows(">");
    terminal
}

fn the_terminal_inside_is_a_new_one() {
    let terminal = shell_in_terminal();
    terminal.type_line("tty; ls /dev/pts");
    terminal.shows_line("/dev/pts/0");
    terminal.type_line("exit 3");
    terminal.shows("[exit 3]");
}

/// A foreground job that has begun: keys that come earlier are the shell's.
#[track_caller]
fn begin_a_job(terminal: &Tmux) {
    terminal.type_line("sh -c 'echo begun; read word; echo got $word; exec sleep 1000'");
    terminal.shows_line("begun");
}

/// Ctrl-Z gives the shell inside its terminal, `fg` gives it to the job again, and Ctrl-C
/// ends that.
#[track_caller]
pub fn stop_a_job_and_take_it_up(terminal: &Tmux) {
    begin_a_job(terminal);
    terminal.type_keys(&["C-z"]);
    terminal.shows("Stopped");
    terminal.shows_line(">");
    terminal.type_line("fg");
    terminal.type_line("it");
    terminal.shows_line("got it");
    terminal.type_keys(&["C-c"]);
    terminal.shows_line(">");
}

fn control_c_ends_the_foreground_job_alone() {
    let terminal = shell_in_terminal();
    begin_a_job(&terminal);
    terminal.type_keys(&["C-c"]);
    terminal.shows_line(">");
    terminal.type_line("echo code $?");
    terminal.shows_line("code 130");
}

fn control_z_stops_a_job_and_fg_takes_it_up() {
    let terminal = shell_in_terminal();
    stop_a_job_and_take_it_up(&terminal);
    terminal.type_line("echo code $?");
    terminal.shows_line("code 130");
}

fn a_resize_reaches_the_inside() {
    let terminal = shell_in_terminal();
    terminal.type_line("stty size");
    terminal.shows_line("24 80");
    terminal.resize(100, 30);
    terminal.type_line("sleep 0.2; stty size");
    terminal.shows_line("30 100");
}

fn an_editor_works() {
    let terminal = shell_in_terminal();
    terminal.type_line("vi /tmp/file");
    terminal.shows("~");
    terminal.type_keys(&["i"]);
    terminal.type_line("hello from inside");
    terminal.type_keys(&["Escape"]);
    terminal.type_line(":wq");
    // The editor took the alternate screen; what was there before comes back.
    terminal.shows("> vi /tmp/file");
    terminal.type_line("clear; cat /tmp/file");
    terminal.shows_line("hello from inside");
}

fn the_outer_terminal_is_as_before() {
    let warren = staged("warren");
    let script = format!(
        "stty -g >before; {} run -t -- sh -c 'stty raw -echo; exit 4'; echo ended $?; stty -g >after",
        warren.display()
    );
    let terminal = Tmux::start(program("sh").args(["-c", &script]));
    terminal.shows_line("ended 4");
    terminal.shows("[exit 0]");
    let modes = |name| fs::read_to_string(scratch().join(name)).expect("read the modes");
    assert_eq!(modes("before"), modes("after"));
    for name in ["before", "after"] {
        fs::remove_file(scratch().join(name)).expect("remove the modes");
    }
}

fn control_c_ends_a_run_without_its_own_terminal() {
    let terminal =
        Tmux::start(&warren(["run", "--", "sh", "-c", "echo ready; sleep 1000"]));
    terminal.shows_line("ready");
    terminal.type_keys(&["C-c"]);
    terminal.shows("[exit 130]");
}

fn without_a_terminal_t_still_gives_one_inside() {
    let output = warren_testkit::run(&mut warren(["run", "-t", "--", "tty"]));
    output.exits(0).has("/dev/pts/0");
}

/// An interactive shell outside.
#[track_caller]
fn shell_outside() -> Tmux {
    let mut shell = program("sh");
    let terminal = Tmux::start(shell.arg("-i").env("PS1", "> "));
    terminal.shows(">");
    terminal
}

/// The command is no shell: the whole run becomes a stopped job of the shell outside.
fn control_z_gives_the_callers_shell_its_terminal_back() {
    let terminal = shell_outside();
    let warren = staged("warren").display().to_string();
    terminal.type_line(&format!("{warren} run -t -- cat"));
    terminal.type_line("to and fro");
    terminal.shows_line("to and fro");
    terminal.type_keys(&["C-z"]);
    terminal.shows("Stopped");
    terminal.type_line("echo outside $((40 + 2))");
    terminal.shows_line("outside 42");
    terminal.type_line("fg");
    terminal.type_line("still here");
    terminal.shows_line("still here");
    terminal.type_keys(&["C-d"]);
    terminal.type_line("echo code $?");
    terminal.shows_line("code 0");
}

fn the_callers_terminal_is_not_to_be_opened_behind_redirected_streams() {
    let terminal = shell_outside();
    let warren = staged("warren").display().to_string();
    let said = scratch().join("said");
    let said = said.display();
    terminal.type_line(&format!(
        "{warren} run -- sh -c 'echo hello >/dev/tty' </dev/null >{said} 2>&1; cat {said}"
    ));
    terminal.shows("No such device or address");
}
