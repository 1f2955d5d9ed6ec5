//! Settings of the host that forwarding needs: as few as possible, and put back.
//!
//! A bridge's own settings go with the bridge. Beside them the links that have a default
//! route must forward what comes back. IPv4 asks each link; IPv6 does since Linux 6.17
//! (`force_forwarding`), and had one switch for all before, by which routers are no longer
//! listened to unless `accept_ra` is 2.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::socket::Socket;
use crate::state::{self, Store};

/// What a setting was, and what we have made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Setting {
    path: String,
    before: String,
    now: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Record {
    version: u32,
    settings: Vec<Setting>,
}

/// Whether this network namespace has IPv6, for links to come.
pub fn has_v6() -> bool {
    let off = |which: &str| {
        read(&format!("ipv6/conf/{which}/disable_ipv6")) != Some("0".to_owned())
    };
    !off("all") && !off("default")
}

/// Lets a bridge forward, and the host's loopback be translated on it.
pub fn prepare_bridge(bridge: &str) {
    // Where one is missing, so is the family; what then does not work is told by it.
    let _ = set(&format!("ipv4/conf/{bridge}/forwarding"), "1");
    let _ = set(&format!("ipv4/conf/{bridge}/route_localnet"), "1");
    let _ = set(&format!("ipv6/conf/{bridge}/accept_ra"), "0");
    let _ = set(&format!("ipv6/conf/{bridge}/force_forwarding"), "1");
}

/// Lets the links of the default routes forward, or all with `wide`; records before what
/// they were.
pub fn let_forward(store: &Store, namespace: u64, wide: bool) -> Result<()> {
    let path = store.settings(namespace);
    let mut record = load(&path);
    let known = record.settings.len();
    for (name, value) in wanted(wide) {
        if record.settings.iter().any(|setting| setting.path == name) {
            continue;
        }
        if let Some(before) = read(&name).filter(|before| *before != value) {
            record.settings.push(Setting {
                path: name,
                before,
                now: value.to_owned(),
            });
        }
    }
    if record.settings.len() == known {
        return Ok(());
    }
    record.version = 1;
    let text = serde_json::to_string(&record).map_err(|error| {
        Error::words(format!("write the record of settings: {error}"))
    })?;
    state::write(&path, &text)?;
    for setting in &record.settings[known..] {
        set(&setting.path, &setting.now)?;
    }
    Ok(())
}

/// Puts back what was changed, where nobody has changed it since. Gives what was.
pub fn restore(store: &Store, namespace: u64) -> Vec<String> {
    let path = store.settings(namespace);
    let record = load(&path);
    let mut restored = Vec::new();
    for setting in record.settings.iter().rev() {
        if read(&setting.path).as_ref() == Some(&setting.now)
            && set(&setting.path, &setting.before).is_ok()
        {
            restored.push(setting.path.replace('/', "."));
        }
    }
    let _ = fs::remove_file(path);
    restored
}

/// The number of the network namespace of a socket, which no later one gets.
pub fn namespace(socket: &Socket) -> Result<u64> {
    use std::os::fd::AsFd;
    warren_sys::socket_namespace_cookie(socket.as_fd())
        .map_err(|errno| Error::new("ask for the number of the network namespace", errno))
}

fn load(path: &Path) -> Record {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Which settings forwarding needs beside those of bridges, and their values.
fn wanted(wide: bool) -> Vec<(String, &'static str)> {
    let mut list = Vec::new();
    let all = if wide { links() } else { Vec::new() };
    let v4 = defaults_v4(&fs::read_to_string("/proc/net/route").unwrap_or_default());
    for link in union(v4, &all) {
        list.push((format!("ipv4/conf/{link}/forwarding"), "1"));
    }
    let v6 = defaults_v6(&fs::read_to_string("/proc/net/ipv6_route").unwrap_or_default());
    if read("ipv6/conf/all/force_forwarding").is_some() {
        for link in union(v6, &all) {
            list.push((format!("ipv6/conf/{link}/force_forwarding"), "1"));
        }
    } else if !v6.is_empty() {
        for link in v6 {
            let setting = format!("ipv6/conf/{link}/accept_ra");
            if read(&setting).as_deref() == Some("1") {
                list.push((setting, "2"));
            }
        }
        list.push(("ipv6/conf/all/forwarding".to_owned(), "1"));
    }
    list
}

fn union(mut links: Vec<String>, more: &[String]) -> Vec<String> {
    links.extend(more.iter().cloned());
    links.retain(|link| is_foreign(link));
    links.sort();
    links.dedup();
    links
}

/// Whether it is neither the loopback nor one of ours, whose settings go with them.
fn is_foreign(link: &str) -> bool {
    link != "lo"
        && !link.starts_with("warren")
        && crate::network::port_of_name(link).is_none()
}

fn links() -> Vec<String> {
    let folder = fs::read_dir("/proc/sys/net/ipv4/conf");
    let names = folder.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != "all" && name != "default")
        .collect()
}

/// The links of default routes: /proc/net/route.
fn defaults_v4(table: &str) -> Vec<String> {
    let link = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_default =
            words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000");
        is_default.then(|| words[0].to_owned())
    };
    table.lines().filter_map(link).collect()
}

/// The same of /proc/net/ipv6_route, which lists those that refuse on `lo`.
fn defaults_v6(table: &str) -> Vec<String> {
    let link = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let nowhere = words.first()?.bytes().all(|byte| byte == b'0');
        let link = *words.get(9)?;
        (nowhere && words.get(1) == Some(&"00") && link != "lo").then(|| link.to_owned())
    };
    table.lines().filter_map(link).collect()
}

fn read(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?;
    Some(text.trim_end().to_owned())
}

fn set(name: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/net/{name}"), value).map_err(|error| {
        let errno =
            rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO);
        Error::new(format!("set {} to {value}", name.replace('/', ".")), errno)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_default_routes_are_found() {
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n\
                  eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                  eth1\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(defaults_v4(v4), ["eth0"]);
        let none = "0".repeat(32);
        let line = |link: &str, prefix: &str| {
            format!("{none} {prefix} {none} 00 {none} 00000400 1 0 00000003 {link}\n")
        };
        let v6 = line("lo", "00") + &line("eth2", "00") + &line("eth3", "40");
        assert_eq!(defaults_v6(&v6), ["eth2"]);
    }

    #[test]
    fn our_own_links_are_left_alone() {
        let links = ["lo", "warren0", "w0v5", "eth0"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(union(links, &["wlan0".to_owned()]), ["eth0", "wlan0"]);
    }
}
