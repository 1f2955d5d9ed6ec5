//! `--net user`: a network without privilege.

use std::net::IpAddr;

use clap::Args;
use warren_namespaces::Kind;
use warren_network::user::{
    self, Config, GATEWAY, INSIDE, Limit, Limits, Prepared, RESOLVER, Refusal, Refused,
    Rules,
};
use warren_network::{Pinned, Publish, Rate, files, is_name};
use warren_spawn::{Access, Content, Error, IdMapping, Mount, Namespace, Spec};

use super::network::{NetworkOptions, parse};
use crate::failure::{self, Failure};

/// The name by which the inside finds the host's loopback, where it may.
const HOST: &str = "host.warren.internal";

/// What a network has besides, if it is the user's own.
#[derive(Debug, Args)]
pub struct UserNetworkOptions {
    /// With --net user: refuse all but NAME and the names below it, as a resolver tells their
    /// addresses
    #[arg(long, value_name = "NAME", help_heading = "Network")]
    pub allow_domain: Vec<String>,
    /// With --net user: let host.warren.internal lead to the host's loopback
    #[arg(long, help_heading = "Network")]
    pub host_loopback: bool,
}

impl UserNetworkOptions {
    /// Takes the network that is asked for, and has the Spec wait for it.
    pub fn take(
        &self,
        options: &NetworkOptions,
        spec: &mut Spec,
    ) -> Result<Option<UserNetwork>, Failure> {
        if options.net != ["user"] {
            return self.refuse_without_network();
        }
        let wishes = self.wishes(options)?;
        UserNetwork::prepare(wishes, spec).map(Some)
    }

    fn refuse_without_network(&self) -> Result<Option<UserNetwork>, Failure> {
        let given = [
            ("allow-domain", !self.allow_domain.is_empty()),
            ("host-loopback", self.host_loopback),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(Failure::usage(format!(
                "--{option}: it goes with --net user alone"
            ))),
            None => Ok(None),
        }
    }

    fn wishes(&self, options: &NetworkOptions) -> Result<Wishes, Failure> {
        let of_links = [
            ("ip", options.ip.is_some()),
            ("mac", options.mac.is_some()),
            ("net-quota", options.net_quota.is_some()),
        ];
        if let Some((option, _)) = of_links.iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!("--{option}: not with --net user")));
        }
        let publish = options.publish.iter().map(|text| parse("--publish", text));
        let domains = self.allow_domain.iter().map(|text| domain(text));
        let rate = options.net_rate.as_deref();
        let rate = rate
            .map(|text| parse::<Rate>("--net-rate", text))
            .transpose()?;
        Ok(Wishes {
            publish: publish.collect::<Result<_, _>>()?,
            places: options.allowed()?.unwrap_or_default(),
            domains: domains.collect::<Result<_, _>>()?,
            more_hosts: options.more_hosts()?,
            dns: options.dns.clone(),
            host_loopback: self.host_loopback,
            limit: rate.map(limit),
        })
    }
}

fn limit(rate: Rate) -> Limit {
    Limit {
        rate: rate.bytes,
        burst: Some(rate.burst.into()),
    }
}

/// What the options come to.
#[derive(Default)]
struct Wishes {
    publish: Vec<Publish>,
    /// The places of `--allow`; everything may be reached if there are none, and no domain.
    places: Vec<Pinned>,
    domains: Vec<String>,
    more_hosts: Vec<(String, IpAddr)>,
    /// Who is asked about names, in place of the host's resolvers.
    dns: Vec<IpAddr>,
    host_loopback: bool,
    /// Of each direction.
    limit: Option<Limit>,
}

/// The network, from before its process until after it.
pub struct UserNetwork {
    state: State,
    failure: Option<Failure>,
}

enum State {
    Waits(Box<Prepared>),
    Works(user::Network),
    Failed,
}

impl UserNetwork {
    /// Listens on the published ports, and has the Spec wait for its network.
    fn prepare(wishes: Wishes, spec: &mut Spec) -> Result<Self, Failure> {
        if *spec.namespaces.get(Kind::Net) != Namespace::New {
            return Err(Failure::usage(
                "--net user: the host's network is kept with --share net",
            ));
        }
        let of_host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        show_names(&wishes, &of_host, spec);
        // Later it might not be entered any more: a hidden init is undumpable.
        spec.await_announcement = true;
        let prepared = Prepared::new(config(wishes, &of_host))?;
        Ok(Self {
            state: State::Waits(Box::new(prepared)),
            failure: None,
        })
    }

    /// Connects the process, which waits for that before all else.
    pub fn connect(&mut self, pid: u32) -> Result<(), Error> {
        let State::Waits(prepared) = std::mem::replace(&mut self.state, State::Failed)
        else {
            return Ok(());
        };
        let network = prepared.start(pid).map_err(|error| {
            let failed = Error::of_caller(error.to_string());
            self.failure = Some(error.into());
            failed
        })?;
        self.state = State::Works(network);
        Ok(())
    }

    /// Ends it, if there is one, and says what it has refused; or why the run that it was for
    /// has failed, if that was its own failure.
    pub fn finish<T>(
        network: Option<Self>,
        run: Result<T, Failure>,
    ) -> Result<T, Failure> {
        match (network, run) {
            (Some(network), Err(failure)) => Err(network.failure.unwrap_or(failure)),
            (Some(network), Ok(ended)) => {
                network.tell();
                Ok(ended)
            }
            (None, run) => run,
        }
    }

    fn tell(self) {
        let State::Works(network) = self.state else {
            return;
        };
        // Nobody who closed standard error wants to hear of it.
        let _ = failure::print_error(&words(&network.finish()));
    }
}

/// A name of `--allow-domain`.
fn domain(text: &str) -> Result<String, Failure> {
    // `*.example.org` is what is meant anyhow.
    let name = text.strip_prefix("*.").unwrap_or(text);
    if is_name(name) && name.parse::<IpAddr>().is_err() {
        return Ok(name.to_owned());
    }
    Err(Failure::usage(format!(
        "--allow-domain '{text}': expected a name such as example.org"
    ))
    .hint("--allow takes addresses, with a port"))
}

fn config(wishes: Wishes, of_host: &str) -> Config {
    const DOMAIN: u16 = 53;
    let resolvers = match wishes.dns.is_empty() {
        true => user::resolvers(of_host),
        false => wishes.dns.iter().map(|ip| (*ip, DOMAIN).into()).collect(),
    };
    let is_open = wishes.places.is_empty() && wishes.domains.is_empty();
    let rules = Rules {
        places: wishes.places,
        domains: wishes.domains,
    };
    Config {
        resolvers,
        rules: (!is_open).then_some(rules),
        host_loopback: wishes.host_loopback,
        publish: wishes.publish,
        limits: Limits {
            out: wishes.limit,
            into: wishes.limit,
        },
    }
}

/// The files by which the inside finds names, and echo requests for its root.
fn show_names(wishes: &Wishes, of_host: &str, spec: &mut Spec) {
    let name = spec.hostname.clone().unwrap_or_default();
    let mut more = wishes.more_hosts.clone();
    if wishes.host_loopback {
        more.push((HOST.to_owned(), GATEWAY[0]));
    }
    let places = &wishes.places;
    let hosts = files::hosts(&name.to_string_lossy(), &INSIDE, &more, places);
    spec.mounts.push(file("/etc/hosts", hosts));
    let resolver = files::resolv_conf(&RESOLVER[..1], of_host);
    spec.mounts.push(file("/etc/resolv.conf", resolver));
    // Nobody else is in this namespace, and port 80 is what many programs listen on.
    let setting = ("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
    spec.sysctl.push(setting);
    // Only a group that is there can be let.
    if matches!(spec.id_map, IdMapping::Auto | IdMapping::Single) {
        let setting = ("net.ipv4.ping_group_range".to_owned(), "0 0".to_owned());
        spec.sysctl.push(setting);
    }
}

fn file(target: &str, text: String) -> Mount {
    Mount::File {
        content: Content::Bytes(text.into_bytes()),
        target: target.into(),
        mode: 0o644,
        mounted: Some(Access::ReadOnly),
    }
}

/// What was refused, a line each, with what would allow it.
fn words(refused: &Refused) -> String {
    let mut text = String::new();
    for (what, count) in refused.all() {
        let times = match count {
            1 => String::new(),
            count => format!(" ({count} times)"),
        };
        text.push_str(&match what {
            Refusal::Address { udp, to } => {
                let protocol = if *udp { "/udp" } else { "" };
                format!(
                    "refused: connect {to}{protocol}{times}; {}\n",
                    cure(to.ip(), || { format!("--allow {to}{protocol}") })
                )
            }
            Refusal::Echo(to) => {
                format!("refused: echo request to {to}{times}\n")
            }
            Refusal::Name(name) => {
                format!(
                    "refused: look up {name}{times}; --allow-domain {name} allows it\n"
                )
            }
        });
    }
    if refused.more() > 0 {
        text.push_str(&format!("refused: {} more\n", refused.more()));
    }
    if refused.no_echo {
        text.push_str(
            "warren: echo requests were not sent: the kernel lets this group send none\n\
             hint: sysctl net.ipv4.ping_group_range says which groups may: icmp(7)\n",
        );
    }
    text
}

fn cure(to: IpAddr, allow: impl FnOnce() -> String) -> String {
    if GATEWAY.contains(&to) {
        return format!("--host-loopback makes {HOST} lead to the host");
    }
    match to.is_loopback() || to.is_unspecified() || to.is_multicast() {
        true => "it is the host's own".to_owned(),
        false => format!("{} allows it", allow()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_network::Protocol;

    #[test]
    fn what_was_refused_is_told_with_what_would_allow_it() {
        let mut refused = Refused::default();
        let address = |text: &str| text.parse().expect("an address");
        refused.address(Protocol::Tcp, address("192.0.2.1:443"));
        refused.address(Protocol::Tcp, address("192.0.2.1:443"));
        refused.address(Protocol::Udp, address("[2001:db8::1]:53"));
        refused.address(Protocol::Tcp, address("10.0.2.2:80"));
        refused.name("example.org");
        assert_eq!(
            words(&refused),
            "refused: connect 10.0.2.2:80; --host-loopback makes host.warren.internal lead \
             to the host\n\
             refused: connect 192.0.2.1:443 (2 times); --allow 192.0.2.1:443 allows it\n\
             refused: connect [2001:db8::1]:53/udp; --allow [2001:db8::1]:53/udp allows it\n\
             refused: look up example.org; --allow-domain example.org allows it\n"
        );
    }

    #[test]
    fn a_domain_is_a_name() {
        assert_eq!(domain("*.example.org").ok().as_deref(), Some("example.org"));
        for text in ["", "192.0.2.1", "a b", "example.org:443", "-x"] {
            assert!(domain(text).is_err(), "{text}");
        }
    }
}
