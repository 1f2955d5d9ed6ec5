//! `checkpoint` and `restore`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use warren_oci::runtime::{CgroupMode, Checkpoint, CriuOptions, PageServer, Restore};

use super::options::{Options, absolute, both, flag, parse, value, value_or};
use super::{Context, Stop, create};
use crate::getopt::{Known, Order};

const CHECKPOINT: &[Known<&str>] = &[
    value("image-path"),
    value("work-path"),
    value("parent-path"),
    flag("leave-running"),
    flag("tcp-established"),
    flag("tcp-skip-in-flight"),
    flag("link-remap"),
    flag("ext-unix-sk"),
    flag("shell-job"),
    flag("lazy-pages"),
    value("status-fd"),
    value("page-server"),
    flag("file-locks"),
    flag("pre-dump"),
    value("manage-cgroups-mode"),
    value("empty-ns"),
    flag("auto-dedup"),
];

const RESTORE: &[Known<&str>] = &[
    value("console-socket"),
    value("image-path"),
    value("work-path"),
    flag("tcp-established"),
    flag("ext-unix-sk"),
    flag("shell-job"),
    flag("file-locks"),
    value("manage-cgroups-mode"),
    value_or(b'b', "bundle"),
    both(b'd', "detach"),
    value("pid-file"),
    flag("no-subreaper"),
    flag("no-pivot"),
    value("empty-ns"),
    flag("auto-dedup"),
    flag("lazy-pages"),
    flag("link-remap"),
    value("lsm-profile"),
    value("lsm-mount-context"),
];

/// Where images are, if nobody says.
const IMAGES: &str = "checkpoint";

pub fn checkpoint(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(CHECKPOINT, Order::Any, arguments).map_err(Stop::usage)?;
    let id = options.id()?;
    let wanted = Checkpoint {
        criu: criu(context, &options)?,
        parent: options.value("parent-path").map(PathBuf::from),
        leave_running: options.is("leave-running"),
        pre_dump: options.is("pre-dump"),
        page_server: options.text("page-server")?.map(page_server).transpose()?,
        status_fd: status_fd(&options)?,
    };
    let container = context.store.open(id)?;
    for error in container.checkpoint(&wanted)? {
        context.log.warn(&error.to_string());
    }
    Ok(0)
}

pub fn restore(context: &Context, arguments: &[OsString]) -> Result<u8, Stop> {
    let options = parse(RESTORE, Order::Any, arguments).map_err(Stop::usage)?;
    let mut create = create::wanted(context, &options)?;
    // What was handed to the container when it was made is in the images.
    create.listen_fds = 0;
    let wanted = Restore {
        criu: criu(context, &options)?,
        lsm_profile: options.text("lsm-profile")?.map(lsm_profile).transpose()?,
        lsm_mount_context: options.text("lsm-mount-context")?.map(str::to_owned),
        create: create::attended(create, &options),
    };
    let created = context.store.restore(&wanted)?;
    create::note(context, &created);
    // Its program has told long ago that it is ready.
    let began = created.container.begin().map_err(Stop::from);
    create::stay(context, created, &options, began)
}

/// What both have.
fn criu(context: &Context, options: &Options) -> Result<CriuOptions, Stop> {
    if let Some(kind) = options.text("empty-ns")?
        && kind != "network"
    {
        // Of which nothing is kept anyway.
        let message = format!("namespace {kind:?} is not supported");
        return Err(Stop::usage(message));
    }
    let images = match options.path("image-path")? {
        Some(images) => images,
        None => absolute(Path::new(IMAGES))?,
    };
    let mode = options.text("manage-cgroups-mode")?.map(cgroup_mode);
    Ok(CriuOptions {
        program: context.criu.clone(),
        images,
        work: options.path("work-path")?,
        tcp_established: options.is("tcp-established"),
        tcp_skip_in_flight: options.is("tcp-skip-in-flight"),
        link_remap: options.is("link-remap"),
        ext_unix_sk: options.is("ext-unix-sk"),
        shell_job: options.is("shell-job"),
        lazy_pages: options.is("lazy-pages"),
        file_locks: options.is("file-locks"),
        auto_dedup: options.is("auto-dedup"),
        cgroups: mode.transpose()?.unwrap_or_default(),
    })
}

fn cgroup_mode(word: &str) -> Result<CgroupMode, Stop> {
    match word {
        "soft" => Ok(CgroupMode::Soft),
        "full" => Ok(CgroupMode::Full),
        "strict" => Ok(CgroupMode::Strict),
        "ignore" => Ok(CgroupMode::Ignore),
        _ => Err(Stop::usage(format!(
            "--manage-cgroups-mode: expected soft, full, strict or ignore, found '{word}'"
        ))),
    }
}

/// `ADDRESS:PORT`; an address of IPv6 may stand in brackets.
fn page_server(word: &str) -> Result<PageServer, Stop> {
    let wrong = || {
        Stop::usage("Use --page-server ADDRESS:PORT to specify page server".to_owned())
    };
    let (address, port) = word.rsplit_once(':').ok_or_else(wrong)?;
    let bare = address
        .strip_prefix('[')
        .and_then(|bare| bare.strip_suffix(']'));
    match bare.unwrap_or(address) {
        "" => Err(wrong()),
        address => Ok(PageServer {
            address: address.to_owned(),
            port: port.parse().map_err(|_| wrong())?,
        }),
    }
}

fn status_fd(options: &Options) -> Result<Option<i32>, Stop> {
    let number = options.text("status-fd")?;
    // What runc has for none.
    let Some(word) = number.filter(|word| *word != "-1") else {
        return Ok(None);
    };
    let number = word.parse::<u16>().map_err(|_| {
        Stop::usage(format!("--status-fd: expected a number, found '{word}'"))
    })?;
    Ok(Some(number.into()))
}

fn lsm_profile(word: &str) -> Result<String, Stop> {
    match word.split_once(':') {
        Some(("apparmor" | "selinux", label)) if !label.is_empty() => Ok(word.to_owned()),
        _ => Err(Stop::usage(format!(
            "--lsm-profile: expected apparmor:NAME or selinux:LABEL, found '{word}'"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_server_has_an_address_and_a_port() {
        let read = |word: &str| {
            let server = page_server(word).ok()?;
            Some((server.address, server.port))
        };
        assert_eq!(read("10.0.0.1:27"), Some(("10.0.0.1".to_owned(), 27)));
        assert_eq!(read("[::1]:27"), Some(("::1".to_owned(), 27)));
        for word in ["", "foo", ":1", "a:", "a:x", "a:70000", "[]:1"] {
            assert_eq!(read(word), None, "{word}");
        }
    }

    #[test]
    fn a_profile_names_its_module() {
        assert!(lsm_profile("apparmor:docker-default").is_ok());
        assert!(lsm_profile("selinux:a_u:b_r:c_t:s0:c1,c2").is_ok());
        for word in ["", "docker-default", "apparmor:", "smack:x"] {
            assert!(lsm_profile(word).is_err(), "{word}");
        }
    }
}
