//! Reads `EndpointSlices`: which addresses of a service may be asked, at which port.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::endpoint::{Address, AddressFamily, Listing, ServicePort};

/// One `EndpointSlice`, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slice {
    /// `None`: names of hosts.
    family: Option<AddressFamily>,
    endpoints: Vec<SliceEndpoint>,
    /// Name and number of those of TCP.
    ports: Vec<(Box<str>, u16)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SliceEndpoint {
    host: Box<str>,
    ready: bool,
    /// It is going, and answers still.
    serves_its_last: bool,
}

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPort {
    /// None of this name or number; those that there are.
    #[error("its endpoints have no port {}, {}", .0, others(.1))]
    Unknown(String, Vec<String>),
    /// None is asked for, and there are several.
    #[error("its endpoints have several ports ({}): name one, as in `port = \"http\"`", .0.join(", "))]
    Several(Vec<String>),
}

fn others(there: &[String]) -> String {
    if there.is_empty() { "and no other".to_owned() } else { format!("but {}", there.join(", ")) }
}

impl Slice {
    /// Name and content; `None`: it is no `EndpointSlice`.
    pub(super) fn read(object: &Value) -> Option<(String, Self)> {
        let name = object["metadata"]["name"].as_str()?.to_owned();
        let family = match object["addressType"].as_str()? {
            "IPv4" => Some(AddressFamily::Ipv4),
            "IPv6" => Some(AddressFamily::Ipv6),
            _ => None,
        };
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut endpoints = Vec::new();
        for endpoint in list(&object["endpoints"]) {
            let conditions = &endpoint["conditions"];
            // The API: a condition that is not there is to be taken as true; `serving` falls back to `ready`.
            let ready = conditions["ready"].as_bool().unwrap_or(true);
            let terminating = conditions["terminating"].as_bool().unwrap_or(false);
            let serving = conditions["serving"].as_bool().unwrap_or(ready);
            // All addresses of one endpoint are the same endpoint, so that the first is enough.
            if let Some(host) = endpoint["addresses"][0].as_str() {
                endpoints.push(SliceEndpoint { host: host.into(), ready, serves_its_last: serving && terminating });
            }
        }
        let ports = list(&object["ports"]);
        let ports = ports.iter().filter(|port| port["protocol"].as_str().unwrap_or("TCP") == "TCP");
        let ports = ports.filter_map(|port| {
            let number = u16::try_from(port["port"].as_u64()?).ok().filter(|number| *number > 0)?;
            Some((port["name"].as_str().unwrap_or_default().into(), number))
        });
        Some((name, Self { family, endpoints, ports: ports.collect() }))
    }

    fn port(&self, wanted: Option<&ServicePort>) -> Option<u16> {
        let mut ports = self.ports.iter();
        let found = match wanted {
            None if self.ports.len() == 1 => ports.next(),
            None => None,
            Some(ServicePort::Named(wanted)) => ports.find(|(name, _)| name == wanted),
            Some(ServicePort::Number(wanted)) => ports.find(|(_, number)| number == wanted),
        };
        found.map(|(_, number)| *number)
    }
}

/// The endpoints of all slices together: the ready ones; if none is ready, those that still serve while they go.
pub(super) fn endpoints(
    slices: &BTreeMap<String, Slice>,
    wanted: Option<&ServicePort>,
    family: Option<AddressFamily>,
) -> Result<Vec<Listing>, NoPort> {
    let of_family = |family: Option<AddressFamily>| {
        slices.values().filter(move |slice| slice.family == family && !slice.endpoints.is_empty())
    };
    // An endpoint of a service with both families stands in a slice of each.
    let first_there = || {
        let mut families = [Some(AddressFamily::Ipv4), Some(AddressFamily::Ipv6)].into_iter();
        families.find(|family| of_family(*family).next().is_some()).flatten()
    };
    let chosen: Vec<_> = of_family(family.or_else(first_there)).collect();
    let at = |takes: fn(&SliceEndpoint) -> bool| {
        let mut found = BTreeMap::new();
        for slice in &chosen {
            let Some(port) = slice.port(wanted) else { continue };
            for endpoint in slice.endpoints.iter().filter(|endpoint| takes(endpoint)) {
                let address = Address::Tcp { host: endpoint.host.clone(), port };
                // While endpoints move from one slice to another they are in both.
                found.insert(address.to_string(), address);
            }
        }
        found
    };
    let mut found = at(|endpoint| endpoint.ready);
    if found.is_empty() {
        found = at(|endpoint| endpoint.serves_its_last);
    }
    if found.is_empty() && !chosen.is_empty() && chosen.iter().all(|slice| slice.port(wanted).is_none()) {
        return Err(no_port(&chosen, wanted));
    }
    let listing = |(key, address): (String, Address)| Listing { key: key.into(), address, weight: 1 };
    Ok(found.into_iter().map(listing).collect())
}

fn no_port(slices: &[&Slice], wanted: Option<&ServicePort>) -> NoPort {
    let shown = |(name, number): &(Box<str>, u16)| match &**name {
        "" => number.to_string(),
        name => format!("`{name}` ({number})"),
    };
    let mut there: Vec<_> = slices.iter().flat_map(|slice| &slice.ports).map(shown).collect();
    there.sort();
    there.dedup();
    match wanted {
        Some(ServicePort::Named(name)) => NoPort::Unknown(format!("`{name}`"), there),
        Some(ServicePort::Number(number)) => NoPort::Unknown(number.to_string(), there),
        None if there.is_empty() => NoPort::Unknown("of TCP".to_owned(), there),
        None => NoPort::Several(there),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slice(name: &str, kind: &str, endpoints: &[(&str, Value)], ports: &Value) -> Value {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(address, conditions)| json!({ "addresses": [address], "conditions": conditions }))
            .collect();
        json!({ "metadata": { "name": name }, "addressType": kind, "endpoints": endpoints, "ports": ports })
    }

    /// Addresses, or why there are none.
    fn listed(slices: &[Value], port: Option<&ServicePort>, family: Option<AddressFamily>) -> Result<String, NoPort> {
        let slices = slices.iter().map(|slice| Slice::read(slice).expect("a slice")).collect();
        let list = endpoints(&slices, port, family)?;
        Ok(list.iter().map(|listing| listing.address.to_string()).collect::<Vec<_>>().join(" "))
    }

    fn http() -> Value {
        json!([{ "name": "http", "protocol": "TCP", "port": 80 }])
    }

    #[test]
    fn those_that_are_ready_are_asked_and_else_those_that_still_serve() {
        let going = json!({ "ready": false, "serving": true, "terminating": true });
        let gone = json!({ "ready": false, "serving": false, "terminating": true });
        let starting = json!({ "ready": false });
        for (name, endpoints, expected) in [
            (
                "nothing said is ready",
                vec![("10.0.0.1", json!({})), ("10.0.0.2", Value::Null)],
                "10.0.0.1:80 10.0.0.2:80",
            ),
            ("one is ready", vec![("10.0.0.1", json!({ "ready": true })), ("10.0.0.2", going.clone())], "10.0.0.1:80"),
            (
                "none is ready, one still serves",
                vec![("10.0.0.1", starting.clone()), ("10.0.0.2", going)],
                "10.0.0.2:80",
            ),
            ("none serves", vec![("10.0.0.1", starting), ("10.0.0.2", gone)], ""),
        ] {
            assert_eq!(
                listed(&[slice("a", "IPv4", &endpoints, &http())], None, None).as_deref(),
                Ok(expected),
                "{name}"
            );
        }
    }

    #[test]
    fn slices_are_merged_and_one_family_is_taken() {
        let ready = |address| [(address, json!({ "ready": true }))];
        let slices = [
            slice("a", "IPv4", &ready("10.0.0.1"), &http()),
            slice("b", "IPv4", &ready("10.0.0.2"), &http()),
            slice("moving", "IPv4", &ready("10.0.0.2"), &http()),
            slice("c", "IPv6", &ready("fd00::1"), &http()),
        ];
        assert_eq!(listed(&slices, None, None).as_deref(), Ok("10.0.0.1:80 10.0.0.2:80"));
        assert_eq!(listed(&slices, None, Some(AddressFamily::Ipv6)).as_deref(), Ok("[fd00::1]:80"));
        assert_eq!(listed(&slices[3..], None, None).as_deref(), Ok("[fd00::1]:80"), "the only family");
        let empty = slice("d", "IPv4", &[], &http());
        assert_eq!(listed(&[empty, slices[3].clone()], None, None).as_deref(), Ok("[fd00::1]:80"));
        assert_eq!(
            listed(&[slice("e", "FQDN", &ready("a.example"), &http())], None, None).as_deref(),
            Ok("a.example:80")
        );
        assert_eq!(listed(&[], None, None).as_deref(), Ok(""));
    }

    #[test]
    fn a_port_is_named_or_the_only_one() {
        let ready = [("10.0.0.1", json!({ "ready": true }))];
        let two = json!([{ "name": "http", "port": 80 }, { "name": "admin", "port": 9000 }, { "name": "dns", "protocol": "UDP", "port": 53 }]);
        let with = |ports: &Value, port: Option<ServicePort>| {
            listed(&[slice("a", "IPv4", &ready, ports)], port.as_ref(), None)
        };
        let named = |name: &str| Some(ServicePort::Named(name.into()));
        assert_eq!(with(&two, named("admin")).as_deref(), Ok("10.0.0.1:9000"));
        assert_eq!(with(&two, Some(ServicePort::Number(80))).as_deref(), Ok("10.0.0.1:80"));
        assert_eq!(with(&json!([{ "port": 8080 }]), None).as_deref(), Ok("10.0.0.1:8080"));
        let why = with(&two, None).expect_err("there are two").to_string();
        assert!(why.contains("several ports (`admin` (9000), `http` (80))"), "{why}");
        let why = with(&two, named("dns")).expect_err("it is UDP").to_string();
        assert!(why.contains("no port `dns`, but `admin` (9000), `http` (80)"), "{why}");
        assert!(with(&json!([]), None).is_err());
    }
}
