//! The log that engines read: the last line of level `error` is what they show.

use std::fs::{File, OpenOptions};
use std::io::Write;

use warren_oci::runtime::NOT_STARTED;

use super::Stop;
use super::options::Options;
use crate::failure;

/// Where errors go, and in which form.
pub struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
    /// Under which name this program speaks on standard error.
    called: String,
}

impl Log {
    pub fn new(options: &Options, called: &str) -> Result<Self, Stop> {
        let json = match options.text("log-format")? {
            None | Some("text" | "") => false,
            Some("json") => true,
            Some(word) => {
                return Err(Stop::usage(format!(
                    "--log-format: expected text or json, found '{word}'"
                )));
            }
        };
        let file = match options.value("log") {
            Some(path) if !path.is_empty() => {
                let file = OpenOptions::new().append(true).create(true).open(path);
                Some(file.map_err(|error| {
                    let words = warren_namespaces::io_error_text(&error);
                    Stop::usage(format!("open the log {}: {words}", path.display()))
                })?)
            }
            _ => None,
        };
        Ok(Self {
            file,
            json,
            debug: options.is("debug") || options.text("log-level")? == Some("debug"),
            called: called.to_owned(),
        })
    }

    /// Says why a command ends, in the log and on standard error; gives its exit code.
    pub fn fail(&self, stop: &Stop) -> u8 {
        self.write("error", &stop.message);
        let program = if self.called == "oci" {
            "warren"
        } else {
            &self.called
        };
        let mut text = match self.file {
            // There the container's own process says it, on its standard error.
            None if self.called == "runc" && stop.is_programs => {
                let said = stop.message.strip_prefix(NOT_STARTED);
                format!("{}\n", said.unwrap_or(&stop.message))
            }
            None if self.called == "runc" => line(false, "error", &stop.message),
            _ => format!("{program}: {}\n", stop.message),
        };
        // Under another's name, nothing but what that would say.
        let hints = stop.hints.iter().filter(|_| self.called != "runc");
        for hint in hints {
            text.push_str(&format!("hint: {hint}\n"));
        }
        let _ = failure::print_error(&text);
        stop.code
    }

    /// Says something that ends nothing.
    pub fn warn(&self, message: &str) {
        self.write("warning", message);
        if self.file.is_none() {
            let _ = failure::print_error(&line(self.json, "warning", message));
        }
    }

    /// Whether somebody asks for what [`Self::debug`] says.
    pub fn is_followed(&self) -> bool {
        self.debug
    }

    /// Says what only those want to know who ask for it.
    pub fn debug(&self, message: &str) {
        if !self.debug {
            return;
        }
        self.write("debug", message);
        if self.file.is_none() {
            let _ = failure::print_error(&line(self.json, "debug", message));
        }
    }

    fn write(&self, level: &str, message: &str) {
        if let Some(mut file) = self.file.as_ref() {
            // There is nowhere left to say that the log cannot be written.
            let _ = file.write_all(line(self.json, level, message).as_bytes());
        }
    }
}

/// One line, as logrus writes it.
fn line(json: bool, level: &str, message: &str) -> String {
    let time = warren_oci::runtime::now();
    let quoted = serde_json::Value::from(message);
    if json {
        return format!(
            "{{\"level\":\"{level}\",\"msg\":{quoted},\"time\":\"{time}\"}}\n"
        );
    }
    format!("time=\"{time}\" level={level} msg={quoted}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_log_is_json() {
        let text = line(true, "error", "mount \"/a\":\nno");
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        assert_eq!(value["msg"], "mount \"/a\":\nno");
        assert_eq!(value["level"], "error");
        assert!(value["time"].is_string());
        assert_eq!(text.lines().count(), 1);
    }
}
