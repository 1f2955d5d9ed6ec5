//! `create` and `run`.

use std::ffi::OsString;
use std::path::Path;

use warren_oci::runtime::{Container, Create, Created};

use super::options::{Options, absolute, both, flag, parse, value, value_or};
use super::{Context, Stop, life};
use crate::getopt::{Known, Order};
use crate::{pty, supervise};

const OPTIONS: &[Known<&str>] = &[
    value_or(b'b', "bundle"),
    value_or(b'f', "config"),
    value("console-socket"),
    value("pidfd-socket"),
    value("pid-file"),
    value("preserve-fds"),
    flag("no-pivot"),
    flag("no-new-keyring"),
    // Of run.
    both(b'd', "detach"),
    flag("keep"),
    flag("no-subreaper"),
];

pub fn create(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(OPTIONS, Order::Any, arguments).map_err(Stop::usage)?;
    let mut wanted = wanted(context, &options)?;
    wanted.gated = true;
    wanted.handover.detached = true;
    let created = context.store.create(&wanted)?;
    note(context, &created);
    Ok(0)
}

pub fn run(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(OPTIONS, Order::Any, arguments).map_err(Stop::usage)?;
    let wanted = attended(wanted(context, &options)?, &options);
    let created = context.store.create(&wanted)?;
    note(context, &created);
    drop(context.shield.take());
    let began = life::start_and_tell(&created.container, Container::begin);
    stay(context, created, &options, began)
}

/// Of one that its caller stays with, unless it is detached.
pub fn attended(mut wanted: Create, options: &Options) -> Create {
    wanted.handover.detached = options.is("detach");
    if !wanted.handover.detached {
        wanted.handover.terminal_size = Some(pty::size);
    }
    wanted
}

/// Stays with one that began until its end, unless it is detached.
pub fn stay(
    context: &Context,
    created: Created,
    options: &Options,
    began: Result<(), Stop>,
) -> Result<u8, Stop> {
    let detached = options.is("detach");
    let keep = options.is("keep") || detached;
    let ended = match began {
        Err(stop) => Err(stop),
        Ok(()) if detached => return Ok(0),
        Ok(()) => {
            let started = supervise::Started::in_own_session(created.child);
            supervise::attend(started).map_err(Stop::from)
        }
    };
    let said = match &ended {
        Ok(_) if keep => Vec::new(),
        Ok(_) => created.container.delete_ended()?,
        Err(_) => created.container.delete(true)?,
    };
    for error in said {
        context.log.warn(&error.to_string());
    }
    ended
}

pub fn note(context: &Context, created: &Created) {
    for note in &created.notes {
        context.log.warn(&note.to_string());
    }
    for told in &created.told {
        context.log.debug(told);
    }
}

pub fn wanted(context: &Context, options: &Options) -> Result<Create, Stop> {
    let bundle = options.value("bundle").map_or(Path::new("."), Path::new);
    let bundle = absolute(bundle)?;
    Ok(Create {
        id: options.id()?.to_owned(),
        bundle: bundle.components().collect(),
        config: options.path("config")?,
        gated: false,
        handover: options.handover()?,
        systemd: context.systemd,
        callers_keyring: options.is("no-new-keyring"),
        notify_socket: std::env::var_os("NOTIFY_SOCKET").map(Into::into),
        listen_fds: listen_fds(),
        without_pivot: options.is("no-pivot"),
        followed: context.log.is_followed(),
    })
}

/// Sockets that are handed on: sd_listen_fds(3). They are meant for whoever reads this, or
/// for nobody named.
fn listen_fds() -> u32 {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let is_meant = std::env::var_os("LISTEN_PID").is_none()
        || number("LISTEN_PID") == Some(std::process::id());
    number("LISTEN_FDS").filter(|_| is_meant).unwrap_or(0)
}
