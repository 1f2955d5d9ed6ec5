//! `start`, `state`, `kill` and `delete`.

use std::ffi::OsString;
use std::path::Path;

use warren_oci::runtime::{Container, Error, Kind};

use super::options::{both, parse, text};
use super::{Context, Stop};
use crate::getopt::{Known, Order};
use crate::{failure, util_linux};

pub fn start(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(&[], Order::Any, arguments).map_err(Stop::usage)?;
    let container = context.store.open(options.id()?)?;
    start_and_tell(&container, |container| {
        let started = container.start();
        started.inspect_err(|error| end_after(context, container, error))
    })?;
    Ok(0)
}

/// By the specification one of which a hook has failed is not left to be deleted.
fn end_after(context: &Context, container: &Container, error: &Error) {
    if error.kind() != Kind::Hook {
        return;
    }
    match container.delete(true) {
        Ok(said) => said.iter().for_each(|it| context.log.warn(&it.to_string())),
        Err(error) => context.log.warn(&error.to_string()),
    }
}

/// Who waits to hear that the program is ready is told before this returns.
pub fn start_and_tell(
    container: &Container,
    start: impl FnOnce(&Container) -> Result<(), Error>,
) -> Result<(), Stop> {
    let heard = container.listen()?;
    start(container)?;
    if let (Some(heard), Some(host)) = (heard, std::env::var_os("NOTIFY_SOCKET")) {
        container.hand_on(&heard, Path::new(&host))?;
    }
    Ok(())
}

pub fn state(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(&[], Order::Any, arguments).map_err(Stop::usage)?;
    let container = context.store.open(options.id()?)?;
    let state = container.state()?;
    // Strings and numbers: nothing that JSON cannot say.
    let text = serde_json::to_string_pretty(&state).unwrap_or_default();
    failure::print(&(text + "\n"))?;
    Ok(0)
}

pub fn pause(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(&[], Order::Any, arguments).map_err(Stop::usage)?;
    context.store.open(options.id()?)?.pause()?;
    Ok(0)
}

pub fn resume(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(&[], Order::Any, arguments).map_err(Stop::usage)?;
    context.store.open(options.id()?)?.resume()?;
    Ok(0)
}

pub fn kill(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    const OPTIONS: &[Known<&str>] = &[both(b'a', "all")];
    let mut options = parse(OPTIONS, Order::Any, arguments).map_err(Stop::usage)?;
    let signal = match options.operands.get(1) {
        Some(word) => signal(text(word, "the signal")?)?,
        None => warren_sys::signal::SIGTERM,
    };
    options.operands.truncate(1);
    let container = context.store.open(options.id()?)?;
    container.kill(signal, options.is("all"))?;
    Ok(0)
}

/// A name, with or without SIG, or a number.
fn signal(word: &str) -> Result<i32, Stop> {
    const LAST: i32 = 64;
    let number = match word.parse::<i32>() {
        Ok(number) => Some(number).filter(|number| (0..=LAST).contains(number)),
        Err(_) => util_linux::signal_by_name(word.as_ref()).or_else(|| real_time(word)),
    };
    number.ok_or_else(|| Stop::usage(format!("unknown signal {word:?}")))
}

/// `RTMIN+1`, `SIGRTMAX-2`.
fn real_time(word: &str) -> Option<i32> {
    const FIRST: i32 = 34;
    const LAST: i32 = 64;
    let upper = word.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str, sign: char| match rest.strip_prefix(sign) {
        Some(digits) => digits.parse::<i32>().ok(),
        None => rest.is_empty().then_some(0),
    };
    let number = match bare.strip_prefix("RTMIN") {
        Some(rest) => FIRST + offset(rest, '+')?,
        None => LAST - offset(bare.strip_prefix("RTMAX")?, '-')?,
    };
    (FIRST..=LAST).contains(&number).then_some(number)
}

pub fn delete(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    const OPTIONS: &[Known<&str>] = &[both(b'f', "force")];
    let options = parse(OPTIONS, Order::Any, arguments).map_err(Stop::usage)?;
    let said = context.store.delete(options.id()?, options.is("force"))?;
    for error in said {
        context.log.warn(&error.to_string());
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_a_name_or_a_number() {
        let number = |word: &str| signal(word).ok();
        for word in ["15", "TERM", "SIGTERM", "sigterm", "term"] {
            assert_eq!(number(word), Some(15), "{word}");
        }
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("RTMIN+3"), Some(37));
        assert_eq!(number("SIGRTMAX"), Some(64));
        for word in ["", "65", "-1", "SIGFOO", "RTMIN+99", "RTMAX+1", "1x"] {
            assert_eq!(number(word), None, "{word}");
        }
    }
}
