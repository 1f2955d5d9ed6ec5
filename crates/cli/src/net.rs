//! `warren net`: networks by name.

use std::ffi::OsString;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};
use warren_network::{self as network, Design, Driver, Name, Network, Store, Subnet};

use crate::failure::{self, Failure};

/// Make, list, show and remove networks
///
/// A network is a name, addresses and a bridge or a link of the host's. Its bridge is made
/// with the first container and goes with the last; its record is in /run/warren/net and
/// lasts until the machine ends. `nat` is there without being made.
#[derive(Debug, Parser)]
#[command(name = "warren net", bin_name = "warren net")]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a network
    Create {
        /// Its addresses: 10.5.0.0/24, and once more for IPv6
        #[arg(long, value_name = "SUBNET")]
        subnet: Vec<Subnet>,
        /// Nothing beyond its members and the host's end of it can be reached
        #[arg(long)]
        internal: bool,
        /// The largest packet
        #[arg(long, value_name = "BYTES")]
        mtu: Option<u32>,
        /// Put members on this link of the host's (macvlan) instead of on a bridge
        #[arg(long, value_name = "LINK")]
        macvlan: Option<String>,
        /// What it is to be called
        name: Name,
    },
    /// List networks
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a network and who is in it
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Which
        name: String,
    },
    /// Remove networks that nobody is in
    Rm {
        /// Which
        #[arg(required = true, value_name = "NAME")]
        names: Vec<Name>,
    },
}

pub fn run(arguments: &[OsString]) -> Result<u8, Failure> {
    let store = Store::default();
    match Arguments::try_parse_from(arguments)?.action {
        Action::Create {
            subnet,
            internal,
            mtu,
            macvlan,
            name,
        } => {
            let driver =
                macvlan.map_or(Driver::Bridge, |parent| Driver::Macvlan { parent });
            let design = Design {
                driver,
                subnets: subnet,
                internal,
                mtu,
            };
            network::create(&store, &name, design)?;
        }
        Action::Ls { json } => failure::print(&list(&store, json)?)?,
        Action::Show { json, name } => failure::print(&show(&store, &name, json)?)?,
        Action::Rm { names } => return Ok(remove(&store, &names)),
    }
    Ok(0)
}

fn remove(store: &Store, names: &[Name]) -> u8 {
    let mut code = 0;
    for name in names {
        if let Err(error) = network::remove(store, name) {
            code = Failure::from(error).report();
        }
    }
    code
}

fn list(store: &Store, json: bool) -> Result<String, Failure> {
    let mut networks = vec![Network::nat()];
    networks.extend(store.list()?);
    if json {
        let list: Vec<Value> = networks.iter().map(facts).collect();
        return crate::json::text(&json!({ "version": 1, "networks": list }));
    }
    let mut text = format!("{:16} {:10} {:18} {}\n", "NAME", "LINK", "IPV4", "IPV6");
    for network in &networks {
        text.push_str(&format!(
            "{:16} {:10} {:18} {}{}\n",
            network.name,
            link(network),
            network.subnet.to_string(),
            network.subnet6,
            if network.internal { "  internal" } else { "" },
        ));
    }
    Ok(text)
}

fn show(store: &Store, name: &str, json: bool) -> Result<String, Failure> {
    let network = match name {
        "nat" => Some(Network::nat()),
        name => store.find(&name.parse().map_err(Failure::usage)?)?,
    };
    let network = network.ok_or_else(|| {
        Failure::usage(format!("net show {name}: there is no such network"))
    })?;
    let occupants = network::occupants(&network)?;
    if json {
        let mut value = facts(&network);
        let members = occupants.iter().map(|member| {
            json!({
                "port": member.port,
                "name": member.name,
                "addresses": member.addresses,
                "refused": member.refused,
                "quota_used": member.used,
            })
        });
        value["version"] = json!(1);
        value["members"] = members.collect();
        return crate::json::text(&value);
    }
    let mut text = format!(
        "{}: {}, {}, {}{}\n",
        network.name,
        link(&network),
        network.subnet,
        network.subnet6,
        if network.internal { ", internal" } else { "" },
    );
    for member in occupants {
        let addresses: Vec<_> =
            member.addresses.iter().map(ToString::to_string).collect();
        text.push_str(&format!("  {:10} {}", member.port, addresses.join(" ")));
        if let Some(name) = member.name {
            text.push_str(&format!("  {name}"));
        }
        if let Some(refused) = member.refused {
            text.push_str(&format!("  {refused} packets refused"));
        }
        if let Some(used) = member.used {
            text.push_str(&format!("  {used} bytes of its quota used"));
        }
        text.push('\n');
    }
    Ok(text)
}

/// Through what its members are connected.
fn link(network: &Network) -> String {
    match &network.driver {
        Driver::Bridge => network.bridge(),
        Driver::Macvlan { parent } => format!("{parent}+"),
    }
}

fn facts(network: &Network) -> Value {
    let (driver, parent) = match &network.driver {
        Driver::Bridge => ("bridge", None),
        Driver::Macvlan { parent } => ("macvlan", Some(parent)),
    };
    json!({
        "name": network.name,
        "driver": driver,
        "bridge": network.has_bridge().then(|| network.bridge()),
        "parent": parent,
        "subnet": network.subnet,
        "subnet6": network.subnet6,
        "internal": network.internal,
        "mtu": network.mtu,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
