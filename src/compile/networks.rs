//! Networks in CIDR notation.

use std::net::IpAddr;

use super::Network;
use super::draft::Draft;
use crate::config::{Field, Item};
use crate::diagnostic::Code;

/// The remedy where the networks are those of proxies.
pub(super) const OF_PROXIES: &str = "name the networks of your own proxies, such as `10.0.0.0/8`";

/// The networks of a list; `who` and the remedy are said where one of them is every address. An address alone is a network of one.
pub(super) fn compile(
    field: &Field<Vec<Item<String>>>,
    (who, help): (&str, &str),
    draft: &mut Draft<'_>,
) -> Vec<Network> {
    let mut networks = Vec::new();
    for item in field.get().map(Vec::as_slice).unwrap_or_default() {
        let Some(network) = read(&item.value) else {
            draft.say(
                Code::InvalidNetwork,
                item.span.clone(),
                format!("`{}` is not a network", item.value),
                "not a network",
                "write it like `10.0.0.0/8`, `2001:db8::/32` or `127.0.0.1`",
            );
            continue;
        };
        if network.prefix == 0 {
            draft.say(
                Code::TrustsEverybody,
                item.span.clone(),
                format!("`{}` is every address: {who}", item.value),
                "everybody",
                help,
            );
        }
        networks.push(network);
    }
    networks
}

fn read(text: &str) -> Option<Network> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => most,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
    };
    (prefix <= most).then_some(Network { address, prefix })
}
