//! Names on a network: each member finds the others by theirs.
//!
//! Each container has a resolver of its own, a process of its supervisor's. Its sockets are
//! made in the container's network namespace; itself it stays on the host, where it reads
//! who is there and asks the host's resolvers about the rest. Nobody depends on another's
//! process, and a container that floods its resolver has none itself.

mod directory;
mod inside;
mod question;
mod server;
mod stream;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;
use rustix::process::{Gid, Pid, PidfdFlags, Uid, WaitOptions};
use warren_namespaces::ProcRoot;

use crate::allow::Pinned;
use crate::connect::{Connection, in_namespace_of};
use crate::error::{Error, Result};
use crate::network::Network;
use crate::publish::Protocol;
use crate::settings;
use crate::socket::{Changes, Socket};
use crate::user::give_up_privilege;
use directory::Directory;
use inside::{DOMAIN, Inside};
use server::{Desk, Server};

/// Where a container finds its resolver.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// What a resolver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    networks: Vec<Network>,
    /// Who is asked about other names; nobody where nothing leads out.
    resolvers: Option<Vec<SocketAddr>>,
    search: Vec<String>,
}

impl Names {
    /// What a connection comes to: nothing where it has no network whose members have names.
    /// Others are asked by `servers` or, without any, by those of the host's resolv.conf(5).
    #[must_use]
    pub fn of(
        connection: &Connection,
        servers: &[IpAddr],
        of_host: &str,
    ) -> Option<Self> {
        let networks: Vec<Network> = connection
            .members
            .iter()
            .map(|member| member.network.clone())
            .filter(Network::has_names)
            .collect();
        let leads_out = connection.members.iter().any(|it| !it.network.internal);
        let resolvers = || match servers {
            [] => crate::user::resolvers(of_host),
            _ => servers.iter().map(|ip| (*ip, DOMAIN).into()).collect(),
        };
        (!networks.is_empty()).then(|| Self {
            networks,
            resolvers: leads_out
                .then(|| allowed(resolvers(), connection.allow.as_deref()))
                .flatten(),
            search: searched(of_host),
        })
    }

    /// Starts the resolver of the network namespace of the process `pid`, a child of the
    /// caller that was not waited for.
    ///
    /// # Errors
    /// What the kernel refuses; `EDEADLK` in a program with threads.
    pub fn start(self, pid: u32, proc: &ProcRoot) -> Result<Resolver> {
        let failed = |errno| Error::new("start the resolver of names", errno);
        let process = Pid::from_raw(pid as i32).ok_or_else(|| failed(Errno::SRCH))?;
        let pidfd = rustix::process::pidfd_open(process, PidfdFlags::empty());
        let pidfd = pidfd.map_err(failed)?;
        let inside = in_namespace_of(pidfd.as_fd(), proc, Inside::make)?;
        let (socket, changes) = (Socket::route()?, Changes::of_links()?);
        let keep = [
            inside.datagrams.as_raw_fd(),
            inside.listener.as_raw_fd(),
            socket.as_fd().as_raw_fd(),
            changes.as_fd().as_raw_fd(),
        ];
        let maker = rustix::process::getpid();
        let work = move || {
            let v6 = settings::has_v6();
            let directory =
                Directory::new(socket, changes, self.networks, v6, self.search);
            let desk = Desk::new(directory, self.resolvers);
            match become_nobody(maker) {
                Ok(()) => Server::new(inside, desk).run().map_or(1, |()| 0),
                Err(_) => 1,
            }
        };
        let process = warren_sys::worker(&keep, work).map_err(failed)?;
        Ok(Resolver { process })
    }
}

/// Those of the resolvers that a list has, if there is one: a name can carry a message out.
fn allowed(
    mut resolvers: Vec<SocketAddr>,
    list: Option<&[Pinned]>,
) -> Option<Vec<SocketAddr>> {
    let Some(list) = list else {
        return Some(resolvers);
    };
    resolvers.retain(|to| {
        let is_it = |place: &Pinned| {
            let is_there = place.has(to.ip()) && place.port == to.port();
            is_there && place.protocol == Protocol::Udp
        };
        list.iter().any(is_it)
    });
    (!resolvers.is_empty()).then_some(resolvers)
}

/// The domains that a resolv.conf(5) has searched.
fn searched(text: &str) -> Vec<String> {
    let words = |line: &str| -> Vec<String> {
        let mut words = line.split_whitespace();
        let is_list = matches!(words.next(), Some("search" | "domain"));
        let words = words.filter(|_| is_list);
        words
            .map(|word| word.trim_end_matches('.').to_ascii_lowercase())
            .filter(|word| !word.is_empty())
            .collect()
    };
    text.lines().flat_map(words).collect()
}

/// What a container sends is read by a process that may do nothing.
fn become_nobody(maker: Pid) -> std::result::Result<(), Errno> {
    const NOBODY: u32 = 65_534;
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)?;
    give_up_privilege()?;
    match warren_sys::die_with_maker(maker) {
        true => Ok(()),
        false => Err(Errno::CHILD),
    }
}

/// A resolver that works. Its process ends with the caller's, or when this is dropped.
#[derive(Debug)]
pub struct Resolver {
    process: Pid,
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ =
            rustix::process::kill_process(self.process, rustix::process::Signal::KILL);
        // Nobody else waits for it: the number is its own until then.
        let waited =
            || rustix::process::waitpid(Some(self.process), WaitOptions::empty());
        let _ = rustix::io::retry_on_intr(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::Member;

    fn connection(networks: &[(u8, bool)]) -> Connection {
        let member = |(number, internal): &(u8, bool)| Member {
            network: Network {
                number: *number,
                internal: *internal,
                ..Network::nat()
            },
            number: 2,
            inside: "eth0".to_owned(),
            addresses: Vec::new(),
            mac: [0; 6],
        };
        Connection {
            members: networks.iter().map(member).collect(),
            ..Connection::default()
        }
    }

    const OF_HOST: &str = "nameserver 127.0.0.53\nsearch Corp.test. lan\n";

    #[test]
    fn members_of_named_networks_have_names() {
        assert_eq!(Names::of(&connection(&[(0, false)]), &[], OF_HOST), None);
        let names = Names::of(&connection(&[(0, false), (3, false)]), &[], OF_HOST);
        let names = names.expect("one has");
        assert_eq!(names.networks.len(), 1);
        let host: SocketAddr = "127.0.0.53:53".parse().expect("an address");
        assert_eq!(names.resolvers, Some(vec![host]));
        assert_eq!(names.search, ["corp.test", "lan"]);
    }

    #[test]
    fn nobody_is_asked_where_nothing_leads_out() {
        let names = Names::of(&connection(&[(3, true)]), &[], OF_HOST).expect("names");
        assert_eq!(names.resolvers, None);
        let both = connection(&[(3, true), (4, false)]);
        let names = Names::of(&both, &[], OF_HOST).expect("names");
        assert_eq!(names.resolvers.map(|list| list.len()), Some(1));
    }

    #[test]
    fn a_list_of_places_is_for_resolvers_as_well() {
        let server = IpAddr::from([192, 0, 2, 1]);
        let mut connection = connection(&[(3, false)]);
        connection.allow = Some(Vec::new());
        let names = |connection: &Connection| {
            Names::of(connection, &[server], OF_HOST)
                .expect("names")
                .resolvers
        };
        assert_eq!(names(&connection), None);
        let place: crate::Allow = "192.0.2.1:53/udp".parse().expect("a place");
        connection.allow = Some(vec![place.pin().expect("an address")]);
        assert_eq!(names(&connection), Some(vec![(server, 53).into()]));
    }
}
