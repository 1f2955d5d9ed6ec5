//! `ps`, `events` and `features`: what is asked of a container, and of this runtime.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use warren_oci::runtime::{Container, Event, Status};

use super::options::{Options, flag, parse, text, value, value_or};
use super::{Context, Stop};
use crate::failure;
use crate::getopt::{Known, Order};

pub fn features(_: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(&[], Order::Any, arguments).map_err(Stop::usage)?;
    if let Some(word) = options.operands.first() {
        return Err(Stop::usage(format!(
            "unexpected argument '{}'",
            word.display()
        )));
    }
    let features = warren_oci::runtime::features(env!("CARGO_PKG_VERSION"));
    print(&features)
}

fn print(value: &Value) -> Result<u8, Stop> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    failure::print(&(text + "\n"))?;
    Ok(0)
}

/// The table is that of ps(1), as runc's is: its own options may follow.
pub fn ps(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    const OPTIONS: &[Known<&str>] = &[value_or(b'f', "format")];
    let (own, others) = divide(arguments);
    let options = parse(OPTIONS, Order::Any, &own).map_err(Stop::usage)?;
    let container = context.store.open(options.id()?)?;
    let processes = container.processes()?;
    match options.text("format")? {
        Some("json") => {
            failure::print(&(json!(processes).to_string() + "\n"))?;
            Ok(0)
        }
        None | Some("table") => table(&processes, &others),
        Some(word) => Err(Stop::usage(format!(
            "--format: expected table or json, found '{word}'"
        ))),
    }
}

/// What follows the name of the container is for ps(1), but for our own options.
fn divide(arguments: &[OsString]) -> (Vec<OsString>, Vec<OsString>) {
    let mut own: Vec<OsString> = arguments.iter().take(1).cloned().collect();
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        own.push(word.clone());
        let takes_value = word == "-f" || word == "--format";
        if takes_value {
            own.extend(words.next().cloned());
        } else if !word.as_encoded_bytes().starts_with(b"-") {
            break;
        }
    }
    let rest: Vec<OsString> = words.cloned().collect();
    let is_format = |word: &OsString| {
        word == "--format" || word.as_encoded_bytes().starts_with(b"--format=")
    };
    match rest.iter().any(is_format) {
        true => {
            own.extend(rest);
            (own, Vec::new())
        }
        false => (own, rest),
    }
}

fn table(processes: &[u32], options: &[OsString]) -> Result<u8, Stop> {
    let mut command = Command::new("ps");
    match options {
        [] => command.arg("-ef"),
        options => command.args(options),
    };
    let output = command.output().map_err(|error| {
        Stop::usage(format!(
            "run ps: {}",
            warren_namespaces::io_error_text(&error)
        ))
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Stop::usage(format!("ps: {}", said.trim_end())));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    failure::print(&select(&said, processes)?)?;
    Ok(0)
}

/// The lines of a table of ps(1) that are of these processes.
fn select(table: &str, processes: &[u32]) -> Result<String, Stop> {
    let mut lines = table.lines();
    let titles = lines.next().unwrap_or_default();
    let column = titles.split_whitespace().position(|title| title == "PID");
    let column =
        column.ok_or_else(|| Stop::usage("the output of ps has no column PID"))?;
    let mut text = format!("{titles}\n");
    for line in lines {
        let number = line.split_whitespace().nth(column);
        let number = number.and_then(|word| word.parse().ok());
        if number.is_some_and(|pid| processes.contains(&pid)) {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

const EVENTS: &[Known<&str>] = &[value("interval"), flag("stats")];

pub fn events(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(EVENTS, Order::Any, arguments).map_err(Stop::usage)?;
    let container = context.store.open(options.id()?)?;
    let interval = interval(&options)?;
    if container.status()? == Status::Stopped {
        return Err(Stop::usage("container is not running"));
    }
    if options.is("stats") {
        return line(&container.stats()?);
    }
    let mut kills = container.oom_kills()?;
    loop {
        let now = container.oom_kills()?;
        if now > kills {
            line(&container.oom())?;
        }
        kills = now;
        line(&container.stats()?)?;
        if ended_within(&container, interval)? {
            return Ok(0);
        }
    }
}

/// Whether it ends before the time is over.
fn ended_within(container: &Container, interval: Duration) -> Result<bool, Stop> {
    Ok(container.await_end(interval)?)
}

fn line(event: &Event<'_>) -> Result<u8, Stop> {
    // Strings and numbers: nothing that JSON cannot say.
    let text = serde_json::to_string(event).unwrap_or_default();
    failure::print(&(text + "\n"))?;
    Ok(0)
}

/// `5s`, `500ms`, as Go writes durations.
fn interval(options: &Options) -> Result<Duration, Stop> {
    const USUAL: Duration = Duration::from_secs(5);
    let Some(word) = options.value("interval") else {
        return Ok(USUAL);
    };
    let word = text(word, "--interval")?;
    let wrong =
        || Stop::usage(format!("--interval: expected a duration, found '{word}'"));
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    let parsed = units.iter().find_map(|(unit, factor)| {
        let number: f64 = word.strip_suffix(unit)?.parse().ok()?;
        (number > 0.0)
            .then(|| Duration::from_secs_f64(number * f64::from(*factor) / 1000.0))
    });
    parsed.ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn what_follows_the_container_is_for_ps() {
        let (own, others) = divide(&words("ps web -e -o pid,comm"));
        assert_eq!(own, words("ps web"));
        assert_eq!(others, words("-e -o pid,comm"));
        let (own, others) = divide(&words("ps -f json web"));
        assert_eq!(own, words("ps -f json web"));
        assert!(others.is_empty());
        let (own, others) = divide(&words("ps web --format json"));
        assert_eq!(own, words("ps web --format json"));
        assert!(others.is_empty());
    }

    #[test]
    fn lines_are_taken_by_the_column_of_numbers() {
        let table = "UID   PID  CMD\nroot    1  init\nroot   12  1 sleep\n";
        let text = select(table, &[12]).ok();
        assert_eq!(
            text.as_deref(),
            Some("UID   PID  CMD\nroot   12  1 sleep\n")
        );
        assert!(select("UID CMD\n", &[1]).is_err());
    }

    #[test]
    fn an_interval_has_a_unit() {
        let read = |word: &str| {
            let arguments = words(&format!("events --interval {word} web"));
            let options = parse(EVENTS, Order::Any, &arguments).expect("a line");
            interval(&options).ok()
        };
        assert_eq!(read("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(read("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(read("2m"), Some(Duration::from_secs(120)));
        for word in ["5", "0s", "-1s", "s", "x"] {
            assert_eq!(read(word), None, "{word}");
        }
    }
}
