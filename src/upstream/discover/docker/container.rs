//! One container of a list: whether it serves, and where it can be reached.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::endpoint::{Address, DockerContainers, Listing};

/// Labels by which a container says what cannot be guessed.
const ADDRESS: &str = "multilith.address";
const PORT: &str = "multilith.port";
const NETWORK: &str = "multilith.network";
const WEIGHT: &str = "multilith.weight";

/// A container as the list has it.
#[derive(Debug)]
pub(super) struct Container<'a> {
    value: &'a Value,
    name: &'a str,
}

/// Why its address is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAddress {
    #[error("its label `{0}` is `{1}`")]
    BadLabel(&'static str, String),
    #[error("it exposes no port: the label `{PORT}` or the key `port` names one")]
    NoPort,
    #[error("it exposes several ports ({}): the label `{PORT}` or the key `port` names one", joined(.0))]
    SeveralPorts(BTreeSet<u16>),
    #[error("it is not in the network `{0}`")]
    NoNetwork(String),
    #[error("it is in several networks ({}): the label `{NETWORK}` or the key `network` names one", .0.join(", "))]
    SeveralNetworks(Vec<String>),
    /// Its networks have no address of it, and the port is not published.
    #[error("it has no address in a network and does not publish port {0}: the label `{ADDRESS}` names where it is")]
    Unreachable(u16),
}

fn joined(ports: &BTreeSet<u16>) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

impl<'a> Container<'a> {
    /// `None`: it is no container.
    pub(super) fn read(value: &'a Value) -> Option<Self> {
        let id = value["Id"].as_str()?;
        let name = value["Names"][0].as_str().map(|name| name.trim_start_matches('/')).filter(|name| !name.is_empty());
        Some(Self { value, name: name.unwrap_or(id) })
    }

    /// Its name in the pool; the next container of this name is the same endpoint at another place.
    pub(super) const fn name(&self) -> &'a str {
        self.name
    }

    /// It runs, and a check of the engine's own does not say otherwise.
    pub(super) fn serves(&self) -> bool {
        let state = self.value["State"].as_str().unwrap_or("running");
        let said = self.value["Status"].as_str().unwrap_or_default();
        let unwell = said.contains("(unhealthy)") || said.contains("(health: starting)") || said.contains("(starting)");
        state.eq_ignore_ascii_case("running") && !unwell
    }

    fn label(&self, name: &str) -> Option<&'a str> {
        self.value["Labels"][name].as_str()
    }

    /// Where it is: the address that its label says, else that of its network and the port it exposes, else a port that it
    /// publishes on this machine.
    pub(super) fn listing(&self, of: &DockerContainers) -> Result<Listing, NoAddress> {
        let weight = match self.label(WEIGHT) {
            None => 1,
            Some(text) => text.parse::<u16>().map_err(|_| NoAddress::BadLabel(WEIGHT, text.to_owned()))?,
        };
        let address = match self.label(ADDRESS) {
            Some(text) => text.parse().map_err(|_| NoAddress::BadLabel(ADDRESS, text.to_owned()))?,
            None => self.found(of)?,
        };
        Ok(Listing { key: self.name.into(), address, weight: weight.into() })
    }

    fn found(&self, of: &DockerContainers) -> Result<Address, NoAddress> {
        let port = self.port(of)?;
        if let Some(host) = self.host(of)? {
            return Ok(Address::Tcp { host: host.into(), port });
        }
        let published = self.ports().find_map(|(inside, outside)| outside.filter(|_| inside == port));
        published.ok_or(NoAddress::Unreachable(port))
    }

    /// Its ports of TCP: inside, and where each is published.
    fn ports(&self) -> impl Iterator<Item = (u16, Option<Address>)> {
        let ports = self.value["Ports"].as_array().map(Vec::as_slice).unwrap_or_default();
        ports.iter().filter(|port| port["Type"].as_str().unwrap_or("tcp") == "tcp").filter_map(|port| {
            let number =
                |key: &str| port[key].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            let host = match port["IP"].as_str().unwrap_or_default() {
                "" | "0.0.0.0" => "127.0.0.1",
                "::" => "::1",
                host => host,
            };
            let published = number("PublicPort").map(|port| Address::Tcp { host: host.into(), port });
            Some((number("PrivatePort")?, published))
        })
    }

    fn port(&self, of: &DockerContainers) -> Result<u16, NoAddress> {
        if let Some(text) = self.label(PORT) {
            let port = text.parse().ok().filter(|port| *port > 0);
            return port.ok_or_else(|| NoAddress::BadLabel(PORT, text.to_owned()));
        }
        if let Some(port) = of.port {
            return Ok(port);
        }
        let exposed: BTreeSet<u16> = self.ports().map(|(inside, _)| inside).collect();
        match exposed.first() {
            None => Err(NoAddress::NoPort),
            Some(port) if exposed.len() == 1 => Ok(*port),
            Some(_) => Err(NoAddress::SeveralPorts(exposed)),
        }
    }

    /// Its address in a network; `None`: its networks have none, as those of a person without rights.
    fn host(&self, of: &DockerContainers) -> Result<Option<&'a str>, NoAddress> {
        let networks = self.value["NetworkSettings"]["Networks"].as_object();
        let mut there: Vec<(&str, &str)> = Vec::new();
        for (name, network) in networks.into_iter().flatten() {
            let addresses = ["IPAddress", "GlobalIPv6Address"].into_iter().filter_map(|key| network[key].as_str());
            if let Some(address) = addresses.filter(|address| !address.is_empty()).take(1).next() {
                there.push((name, address));
            }
        }
        if let Some(wanted) = self.label(NETWORK).or(of.network.as_deref()) {
            let found = there.iter().find(|(name, _)| *name == wanted).map(|(_, address)| Some(*address));
            return found.ok_or_else(|| NoAddress::NoNetwork(wanted.to_owned()));
        }
        match there.as_slice() {
            [] => Ok(None),
            [(_, address)] => Ok(Some(address)),
            several => Err(NoAddress::SeveralNetworks(several.iter().map(|(name, _)| format!("`{name}`")).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The address and the weight, or why there is none. `more` is laid over a usual container.
    fn found(more: &Value, network: Option<&str>, port: Option<u16>) -> Result<String, NoAddress> {
        let mut value = json!({
            "Id": "f00", "Names": ["/users-1"], "State": "running", "Status": "Up 2 minutes", "Labels": {},
            "Ports": [{ "PrivatePort": 8080, "Type": "tcp" }],
            "NetworkSettings": { "Networks": { "bridge": { "IPAddress": "172.17.0.2" } } },
        });
        for (key, more) in more.as_object().expect("an object") {
            value[key] = more.clone();
        }
        let of = DockerContainers { label: "a=b".into(), socket: "/s".into(), network: network.map(Into::into), port };
        let container = Container::read(&value).expect("a container");
        let listing = container.listing(&of)?;
        Ok(format!("{} {} {}", listing.key, listing.address, listing.weight))
    }

    #[test]
    fn a_container_is_where_its_label_says_or_in_its_network_or_where_it_is_published() {
        let two = json!({ "Networks": { "back": { "IPAddress": "10.1.0.2" }, "front": { "IPAddress": "10.2.0.2" } } });
        let rootless = json!({
            "NetworkSettings": { "Networks": { "slirp": { "IPAddress": "" } } },
            "Ports": [{ "IP": "0.0.0.0", "PrivatePort": 8080, "PublicPort": 32768, "Type": "tcp" }],
        });
        for (more, network, port, expected) in [
            (json!({}), None, None, "users-1 172.17.0.2:8080 1"),
            (json!({ "Ports": [] }), None, Some(80), "users-1 172.17.0.2:80 1"),
            (
                json!({ "Labels": { "multilith.port": "81", "multilith.weight": "7" } }),
                None,
                Some(80),
                "users-1 172.17.0.2:81 7",
            ),
            (json!({ "Labels": { "multilith.address": "10.0.0.9:7001" } }), None, None, "users-1 10.0.0.9:7001 1"),
            (json!({ "NetworkSettings": two }), Some("front"), None, "users-1 10.2.0.2:8080 1"),
            (
                json!({ "NetworkSettings": two, "Labels": { "multilith.network": "back" } }),
                Some("front"),
                None,
                "users-1 10.1.0.2:8080 1",
            ),
            (rootless, None, None, "users-1 127.0.0.1:32768 1"),
            (
                json!({ "NetworkSettings": { "Networks": { "six": { "IPAddress": "", "GlobalIPv6Address": "fd00::2" } } } }),
                None,
                None,
                "users-1 [fd00::2]:8080 1",
            ),
            (
                json!({ "Ports": [{ "PrivatePort": 80, "Type": "tcp" }, { "PrivatePort": 53, "Type": "udp" }] }),
                None,
                None,
                "users-1 172.17.0.2:80 1",
            ),
        ] {
            assert_eq!(found(&more, network, port).as_deref(), Ok(expected), "{more}");
        }
    }

    #[test]
    fn what_is_not_known_names_its_remedy() {
        let two = json!({ "Networks": { "back": { "IPAddress": "10.1.0.2" }, "front": { "IPAddress": "10.2.0.2" } } });
        for (more, network, part) in [
            (json!({ "Ports": [] }), None, "exposes no port: the label `multilith.port`"),
            (json!({ "Ports": [{ "PrivatePort": 80 }, { "PrivatePort": 81 }] }), None, "several ports (80, 81)"),
            (json!({ "NetworkSettings": two }), None, "several networks (`back`, `front`)"),
            (json!({}), Some("front"), "not in the network `front`"),
            (json!({ "NetworkSettings": {} }), None, "does not publish port 8080"),
            (json!({ "Labels": { "multilith.port": "x" } }), None, "its label `multilith.port` is `x`"),
            (json!({ "Labels": { "multilith.weight": "-1" } }), None, "its label `multilith.weight` is `-1`"),
            (json!({ "Labels": { "multilith.address": "a" } }), None, "its label `multilith.address` is `a`"),
        ] {
            let why = found(&more, network, None).expect_err("no address").to_string();
            assert!(why.contains(part), "{more}: {why}");
        }
    }

    #[test]
    fn one_that_is_paused_or_unwell_does_not_serve() {
        for (state, status, expected) in [
            ("running", "Up 2 minutes", true),
            ("running", "Up 2 minutes (healthy)", true),
            ("running", "Up 2 minutes (unhealthy)", false),
            ("running", "Up 2 seconds (health: starting)", false),
            ("paused", "Up 2 minutes (Paused)", false),
            ("exited", "Exited (0)", false),
        ] {
            let value = json!({ "Id": "f00", "State": state, "Status": status });
            assert_eq!(Container::read(&value).expect("a container").serves(), expected, "{state} {status}");
        }
    }
}
