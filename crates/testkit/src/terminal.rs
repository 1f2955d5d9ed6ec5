//! A command in a real terminal: tmux with a server of its own.

use std::path::PathBuf;
use std::process::Command;

use crate::command::{Output, eventually, program, run};
use crate::stage::scratch;

/// A terminal of 80 by 24 with one command in it. Its server ends when this is dropped.
#[derive(Debug)]
pub struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Starts `command`, with its own environment, in a new terminal.
    ///
    /// When the command ends, the terminal stays and shows `[exit CODE]`.
    #[track_caller]
    pub fn start(command: &Command) -> Self {
        let terminal = Self {
            socket: scratch().join("tmux"),
        };
        // The shell lives through a Ctrl-C that is meant for the command.
        let line = format!(
            "trap : INT; {}; echo \"[exit $?]\"; exec sleep 1000",
            shell_line(command)
        );
        let mut tmux = terminal.command();
        tmux.args([
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
        ]);
        tmux.args(["env", "-i"]).args(variables(command));
        run(tmux.args(["/bin/sh", "-c", &line])).succeeds();
        terminal
    }

    fn command(&self) -> Command {
        let mut tmux = program("tmux");
        tmux.env("SHELL", "/bin/sh").arg("-S").arg(&self.socket);
        tmux
    }

    /// Types keys as tmux names them: text, `Enter`, `C-c`, `C-z`, `Escape`.
    #[track_caller]
    pub fn type_keys(&self, keys: &[&str]) {
        run(self.command().arg("send-keys").args(keys)).succeeds();
    }

    /// Types a line and Enter.
    #[track_caller]
    pub fn type_line(&self, line: &str) {
        run(self.command().args(["send-keys", "-l", line])).succeeds();
        self.type_keys(&["Enter"]);
    }

    /// Gives the terminal another size.
    #[track_caller]
    pub fn resize(&self, columns: u16, rows: u16) {
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut tmux = self.command();
        run(tmux.args(["resize-window", "-x", &columns, "-y", &rows])).succeeds();
    }

    /// What the terminal shows now.
    #[track_caller]
    pub fn screen(&self) -> String {
        let output: Output = run(self.command().args(["capture-pane", "-p"]));
        output.succeeds().to_owned()
    }

    /// Expects the terminal to show `text` before long.
    ///
    /// # Panics
    /// With the screen, where it does not.
    #[track_caller]
    pub fn shows(&self, text: &str) {
        self.comes_to(&format!("{text:?}"), |screen| screen.contains(text));
    }

    /// Expects a line that is exactly `text`, as against the echo of a typed command.
    #[track_caller]
    pub fn shows_line(&self, text: &str) {
        self.comes_to(&format!("a line {text:?}"), |screen| {
            screen.lines().any(|line| line.trim_end() == text)
        });
    }

    #[track_caller]
    fn comes_to(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let mut last = String::new();
        let deadline = std::time::Instant::now()
            + std::time::Duration::from_secs(10) * crate::command::patience();
        while std::time::Instant::now() < deadline {
            last = self.screen();
            if holds(&last) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{what} did not come to the terminal, which shows:\n{last}");
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // The command's own end; a server that is gone already is as good.
        let _ = self.command().arg("kill-server").output();
        if !std::thread::panicking() {
            eventually("the terminal's server to end", || {
                std::os::unix::net::UnixStream::connect(&self.socket).is_err()
            });
        }
    }
}

fn variables(command: &Command) -> Vec<String> {
    let kept = command.get_envs().filter(|(key, _)| *key != "TERM");
    // tmux sets TERM and TMUX in its panes; the command gets the former alone.
    kept.filter_map(|(key, value)| {
        Some(format!("{}={}", key.display(), value?.display()))
    })
    .chain(["TERM=screen".to_owned()])
    .collect()
}

fn shell_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted =
        words.map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")));
    quoted.collect::<Vec<_>>().join(" ")
}
