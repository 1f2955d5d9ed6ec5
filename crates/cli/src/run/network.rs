//! The network that a command has.

use std::ffi::OsStr;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;

use clap::Args;
use warren_confine::Capability;
use warren_namespaces::{Kind, NsFd, ProcRoot};
use warren_network::{
    Allow, Name, Names, Network, Publish, RESOLVER, Rate, Reservation, Resolver, Store,
    Wanted, files,
};
use warren_spawn::{Access, Content, Error, Host, Mount, Namespace, Namespaces, Spec};

use super::process::DEFAULT_NAME;
use super::sizes;
use crate::failure::{self, Failure};
use crate::keep;

/// Whom the command may talk to.
#[derive(Debug, Args)]
pub struct NetworkOptions {
    /// none (the default: its own loopback), nat (also without a word), user, host, the NAME of a
    /// network of `warren net`, container:TARGET or ns:PATH; several networks by several
    #[arg(
        long,
        value_name = "NETWORK",
        num_args = 0..=1,
        default_missing_value = "nat",
        value_delimiter = ',',
        help_heading = "Network"
    )]
    pub net: Vec<String>,
    /// Let a port of the host lead to one inside: [IP:]8080:80[/udp], or runs of ports; on
    /// the host's loopback if no IP is given
    #[arg(short, long, value_name = "PORTS", help_heading = "Network")]
    pub publish: Vec<String>,
    /// Refuse all but HOST:PORT[/udp], whose addresses are looked up once, at the start
    #[arg(long, value_name = "PLACE", help_heading = "Network")]
    pub allow: Vec<String>,
    /// The address in the first network
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    pub ip: Option<IpAddr>,
    /// The address of the link to the first network
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    pub mac: Option<String>,
    /// A server of names, in place of the host's
    #[arg(long, value_name = "ADDRESS", help_heading = "Network")]
    pub dns: Vec<IpAddr>,
    /// A name in /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS", help_heading = "Network")]
    pub add_host: Vec<String>,
    /// What each link may carry in each direction: 10mbit, or with a burst 10mbit:64k
    #[arg(long, value_name = "RATE", help_heading = "Network")]
    pub net_rate: Option<String>,
    /// How many bytes may be sent and received in all
    #[arg(long, value_name = "SIZE", help_heading = "Network")]
    pub net_quota: Option<String>,
}

/// What `--net` says.
enum Mode {
    None,
    Host,
    /// See [`network_user`](super::network_user).
    User,
    Networks(Vec<Network>),
    Container(String),
    Namespace(PathBuf),
}

impl NetworkOptions {
    fn mode(&self) -> Result<Mode, Failure> {
        let alone = match self.net.as_slice() {
            [] => return Ok(Mode::None),
            [word] => special(word),
            words => match words.iter().find(|word| special(word).is_some()) {
                Some(word) => {
                    return Err(Failure::usage(format!(
                        "--net {word}: it goes with no other network"
                    )));
                }
                None => None,
            },
        };
        match alone {
            Some(mode) => Ok(mode),
            None => {
                let networks = self.net.iter().map(|word| network(word));
                Ok(Mode::Networks(networks.collect::<Result<_, _>>()?))
            }
        }
    }

    /// Leaves the network namespace as it is, where it is not to be a new one.
    pub fn choose(&self, namespaces: &mut Namespaces) {
        let joins = |word: &String| {
            word == "host" || word.starts_with("container:") || word.starts_with("ns:")
        };
        if self.net.iter().any(joins) {
            namespaces.set(Kind::Net, Namespace::Inherit);
        }
    }

    /// Takes what the command has of networks, and has the Spec say so. With `enters` the
    /// supervisor goes where the command is to be.
    pub fn take(
        &self,
        spec: &mut Spec,
        host: &Host,
        enters: bool,
    ) -> Result<Option<Connected>, Failure> {
        let mode = self.mode()?;
        if !matches!(mode, Mode::Networks(_) | Mode::User) {
            self.refuse_without_network()?;
        }
        match mode {
            Mode::None | Mode::Host | Mode::User => {}
            Mode::Container(word) if enters => self.enter_container(&word)?,
            Mode::Namespace(path) if enters => self.enter_namespace(&path)?,
            Mode::Container(_) | Mode::Namespace(_) => {}
            Mode::Networks(networks) => {
                return self.reserve(networks, spec, host).map(Some);
            }
        }
        Ok(None)
    }

    /// What only a network of our own has.
    fn refuse_without_network(&self) -> Result<(), Failure> {
        let given = [
            ("publish", !self.publish.is_empty()),
            ("allow", !self.allow.is_empty()),
            ("ip", self.ip.is_some()),
            ("mac", self.mac.is_some()),
            ("dns", !self.dns.is_empty()),
            ("add-host", !self.add_host.is_empty()),
            ("net-rate", self.net_rate.is_some()),
            ("net-quota", self.net_quota.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Failure::usage(format!(
                "--{option}: there is no network that it could be of"
            ))
            .hint("--net nat gives one")),
            None => Ok(()),
        }
    }

    fn reserve(
        &self,
        networks: Vec<Network>,
        spec: &mut Spec,
        host: &Host,
    ) -> Result<Connected, Failure> {
        if *spec.namespaces.get(Kind::Net) != Namespace::New {
            return Err(Failure::usage(
                "--net: the host's network is kept with --share net",
            ));
        }
        let wanted = self.wanted(networks, spec)?;
        let more = self.more_hosts()?;
        if !host.is_privileged() {
            return Err(Failure::new("make a link: Operation not permitted")
            .hint("a network with links of the host's needs root; --net user needs no privilege"));
        }
        let pinned = wanted.allow.clone().unwrap_or_default();
        let reservation = Reservation::take(wanted)?;
        let connection = reservation.connection().clone();
        let own: Vec<IpAddr> = connection
            .members
            .iter()
            .flat_map(|member| member.addresses.clone())
            .collect();
        let name = spec.hostname.clone().unwrap_or_default();
        let hosts = files::hosts(&name.to_string_lossy(), &own, &more, &pinned);
        let of_host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let names = Names::of(&connection, &self.dns, &of_host);
        let resolver = match names {
            Some(_) => files::resolv_conf(&[RESOLVER.into()], &of_host),
            None => files::resolv_conf(&self.dns, &of_host),
        };
        spec.await_announcement |= names.is_some();
        spec.mounts.push(made_file("/etc/hosts", hosts));
        spec.mounts.push(made_file("/etc/resolv.conf", resolver));
        // All ports of the namespace are the command's, which has no capability over it.
        let ports = "net.ipv4.ip_unprivileged_port_start";
        spec.sysctl.push((ports.to_owned(), "0".to_owned()));
        spec.connection = Some(connection);
        Ok(Connected {
            reservation,
            names,
            resolver: None,
        })
    }

    fn wanted(&self, networks: Vec<Network>, spec: &Spec) -> Result<Wanted, Failure> {
        let rate = self
            .net_rate
            .as_deref()
            .map(|text| parse::<Rate>("--net-rate", text));
        let rate = rate.transpose()?;
        let may_undo = spec
            .capabilities
            .is_some_and(|set| set.contains(Capability::NET_ADMIN));
        if rate.is_some() && may_undo {
            return Err(Failure::usage(
                "--net-rate: with net_admin the command could lift it",
            ));
        }
        let quota = self
            .net_quota
            .as_deref()
            .map(|text| sizes::size("--net-quota", text));
        let publish = self
            .publish
            .iter()
            .map(|text| parse::<Publish>("--publish", text));
        Ok(Wanted {
            name: member_name(spec),
            networks,
            ip: self.ip,
            mac: self.mac.as_deref().map(mac).transpose()?,
            publish: publish.collect::<Result<_, _>>()?,
            allow: self.allowed()?,
            rate,
            quota: quota.transpose()?,
        })
    }

    pub fn allowed(&self) -> Result<Option<Vec<warren_network::Pinned>>, Failure> {
        if self.allow.is_empty() {
            return Ok(None);
        }
        let pin = |text: &String| {
            let place: Allow = parse("--allow", text)?;
            place.pin().map_err(|error| {
                Failure::new(format!("look up {}: {error}", place.host))
                    .hint("the host must know the name; an address needs no lookup")
            })
        };
        self.allow
            .iter()
            .map(pin)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub fn more_hosts(&self) -> Result<Vec<(String, IpAddr)>, Failure> {
        let split = |text: &String| {
            let pair = text.split_once(':').and_then(|(name, address)| {
                let address = address.trim_start_matches('[').trim_end_matches(']');
                let good = warren_network::is_name(name);
                good.then(|| Some((name.to_owned(), address.parse().ok()?)))
                    .flatten()
            });
            pair.ok_or_else(|| {
                Failure::usage(format!("--add-host '{text}': expected NAME:ADDRESS"))
            })
        };
        self.add_host.iter().map(split).collect()
    }

    #[expect(clippy::unused_self, reason = "beside the other arms of --net")]
    fn enter_container(&self, word: &str) -> Result<(), Failure> {
        let proc = ProcRoot::open().map_err(Failure::new)?;
        let found = keep::find_target(word, &proc)?;
        match found.namespace(Kind::Net) {
            Some(namespace) => Ok(warren_network::join(namespace.as_fd())?),
            None => Err(Failure::usage(format!(
                "--net container:{word}: {} has no network namespace",
                found.name
            ))),
        }
    }

    #[expect(clippy::unused_self, reason = "beside the other arms of --net")]
    fn enter_namespace(&self, path: &std::path::Path) -> Result<(), Failure> {
        let namespace = NsFd::open(path).map_err(|errno| {
            let text = warren_namespaces::errno_text(errno);
            Failure::usage(format!("--net ns:{}: {text}", path.display()))
        })?;
        Ok(warren_network::join(namespace.as_fd())?)
    }
}

/// A word of `--net` that stands for no network of ours.
fn special(word: &str) -> Option<Mode> {
    match word {
        "none" => Some(Mode::None),
        "host" => Some(Mode::Host),
        "user" => Some(Mode::User),
        _ => match word.split_once(':') {
            Some(("container", target)) => Some(Mode::Container(target.to_owned())),
            Some(("ns", path)) => Some(Mode::Namespace(path.into())),
            _ => None,
        },
    }
}

/// The network of a word.
fn network(word: &str) -> Result<Network, Failure> {
    if word == "nat" {
        return Ok(Network::nat());
    }
    let unknown = || {
        Failure::usage(format!("--net {word}: there is no network of that name"))
            .hint("`warren net ls` lists those that are; without a word, --net stands before --")
    };
    let name: Name = word.parse().map_err(|_| unknown())?;
    Store::default().find(&name)?.ok_or_else(unknown)
}

pub fn parse<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, Failure>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| Failure::usage(format!("{option} '{text}': {error}")))
}

/// Six bytes in hexadecimal, of one link and not of a group.
fn mac(text: &str) -> Result<[u8; 6], Failure> {
    let wrong = || {
        Failure::usage(format!(
            "--mac '{text}': expected six bytes: 02:00:00:00:00:01"
        ))
    };
    let mut mac = [0; 6];
    let mut words = text.split(':');
    for byte in &mut mac {
        let word = words
            .next()
            .filter(|word| word.len() == 2)
            .ok_or_else(wrong)?;
        *byte = u8::from_str_radix(word, 16).map_err(|_| wrong())?;
    }
    if words.next().is_some() || mac[0] & 1 != 0 || mac == [0; 6] {
        return Err(wrong());
    }
    Ok(mac)
}

fn made_file(target: impl AsRef<OsStr>, text: String) -> Mount {
    Mount::File {
        content: Content::Bytes(text.into_bytes()),
        target: target.as_ref().into(),
        mode: 0o644,
        mounted: Some(Access::ReadOnly),
    }
}

/// The name by which others are to find it: one that it was given, and not that of everybody.
fn member_name(spec: &Spec) -> Option<String> {
    let name = spec.hostname.as_ref()?.to_str()?;
    let is_own = name != DEFAULT_NAME && warren_network::is_name(name);
    is_own.then(|| name.to_owned())
}

/// What is connected, from before its process until after it.
pub struct Connected {
    reservation: Reservation,
    /// What a resolver of its own is to do.
    names: Option<Names>,
    resolver: Option<Resolver>,
}

impl Connected {
    /// Gives the process its resolver, if it is to have one.
    pub fn start_resolver(&mut self, pid: u32) -> Result<(), Error> {
        let Some(names) = self.names.take() else {
            return Ok(());
        };
        let proc =
            ProcRoot::open().map_err(|error| Error::of_caller(error.to_string()))?;
        let resolver = names.start(pid, &proc);
        self.resolver =
            Some(resolver.map_err(|error| Error::of_caller(error.to_string()))?);
        Ok(())
    }
}

/// Disconnects what has ended. What cannot be removed is told, and changes no exit code.
pub fn give_back(connected: Connected) -> Result<(), Failure> {
    drop(connected.resolver);
    match connected.reservation.release() {
        Ok(()) => Ok(()),
        Err(error) => failure::print_error(&format!(
            "warren: {error}\nhint: `warren gc` removes what is left\n"
        )),
    }
}

impl From<warren_network::Error> for Failure {
    fn from(error: warren_network::Error) -> Self {
        let failure = Self::new(&error);
        failure.with_hints(error.hints())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_address_is_of_one_link() {
        assert_eq!(mac("02:00:0a:FF:00:01").ok(), Some([2, 0, 10, 255, 0, 1]));
        for text in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:01:02",
            "03:00:00:00:00:01",
            "0:0:0:0:0:1",
        ] {
            assert!(mac(text).is_err(), "{text}");
        }
    }
}
