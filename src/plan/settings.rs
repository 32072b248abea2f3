//! Differences beside the routes: tables of the file, and the upstreams themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::files::Files;
use crate::compile::{Changes, Snapshot, has_other_timeouts, is_another};
use crate::endpoint::{Address, Source, Timeouts, UpstreamSpec};

/// The monolith or a service that is not as it was: the routes name it as before, and others may answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedUpstream {
    pub name: String,
    /// `added`, `changed` or `removed`.
    pub change: &'static str,
    /// In words: `10.0.0.1:80 -> 10.0.0.2:80`.
    pub what: Vec<String>,
}

/// As the reload names them.
pub(super) fn tables(files: &Files<'_>) -> Vec<&'static str> {
    Changes::between(files.old, files.new).tables
}

/// Of a table that is told once for all that take from it: its keys, in words.
pub(super) fn table_keys(files: &Files<'_>) -> BTreeMap<&'static str, Vec<String>> {
    let (Timeouts { connect, answer, idle, total }, is) = (files.old.timeouts, files.new.timeouts);
    let keys = [
        ("connect", connect, is.connect),
        ("answer", answer, is.answer),
        ("idle", idle, is.idle),
        ("total", total, is.total),
    ];
    let time = |time: Option<Duration>| time.map_or_else(|| "none".to_owned(), |time| format!("{time:?}"));
    let differ = keys.into_iter().filter(|(_, was, is)| was != is);
    let told: Vec<String> = differ.map(|(key, was, is)| format!("{key} {} -> {}", time(was), time(is))).collect();
    [("timeouts", told)].into_iter().filter(|(_, told)| !told.is_empty()).collect()
}

/// By name, the monolith first.
pub(super) fn upstreams(files: &Files<'_>) -> Vec<PlannedUpstream> {
    let by_name = |snapshot: &Snapshot| -> BTreeMap<Arc<str>, Arc<UpstreamSpec>> {
        snapshot.upstreams.iter().map(|spec| (Arc::clone(&spec.name), Arc::clone(spec))).collect()
    };
    let (before, after) = (by_name(files.old), by_name(files.new));
    let mut all = Vec::new();
    let mut push = |name: &str, change, what| all.push(PlannedUpstream { name: name.to_owned(), change, what });
    for (name, is) in &after {
        match before.get(name) {
            None => push(name, "added", vec![addresses(&is.source).unwrap_or_else(|| "from a registry".to_owned())]),
            Some(was) if is_another((files.old, was), (files.new, is)) => {
                push(name, "changed", changed((files.old, was), (files.new, is)));
            }
            Some(_) => {}
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        push(name, "removed", Vec::new());
    }
    let (was, is) = (files.old.monolith_retired, files.new.monolith_retired);
    if was != is {
        let what = if is { "what no route takes gets 404" } else { "it gets what no route takes" };
        let name = files.new.upstreams.first().map_or("monolith", |spec| &*spec.name);
        match all.iter_mut().find(|upstream| upstream.name == name) {
            Some(monolith) => monolith.what.push(what.to_owned()),
            None => all.push(PlannedUpstream { name: name.to_owned(), change: "changed", what: vec![what.to_owned()] }),
        }
    }
    let monolith = files.new.upstreams.first().map(|spec| spec.name.to_string());
    all.sort_by(|one, other| {
        (Some(&one.name) != monolith.as_ref(), &one.name).cmp(&(Some(&other.name) != monolith.as_ref(), &other.name))
    });
    all
}

fn changed((old, was): (&Snapshot, &UpstreamSpec), (new, is): (&Snapshot, &UpstreamSpec)) -> Vec<String> {
    // Without `..`: a new field of an upstream has to say which key it is of.
    let UpstreamSpec {
        name: _,
        target,
        source,
        host,
        balance,
        health,
        eject,
        http,
        tls,
        timeouts: _,
        keepalive,
        proxy_protocol,
        limit,
        buffer,
        sandbox,
    } = was;
    let mut what = Vec::new();
    if *source != is.source {
        what.push(match (addresses(source), addresses(&is.source)) {
            (Some(from), Some(into)) if from != into => format!("{from} -> {into}"),
            (Some(_), Some(_)) => "other weights of its endpoints".to_owned(),
            _ => "other endpoints".to_owned(),
        });
    }
    let keys: Vec<&str> = [
        (*target != is.target, "kind of target"),
        (*host != is.host, "host"),
        (*balance != is.balance, "balance"),
        (*health != is.health, "health"),
        (*eject != is.eject, "eject"),
        (*http != is.http, "http"),
        (*tls != is.tls, "tls"),
        (has_other_timeouts((old, was), (new, is)), "timeouts"),
        (*keepalive != is.keepalive, "keepalive"),
        (*proxy_protocol != is.proxy_protocol, "proxy_protocol"),
        (*limit != is.limit, "limit"),
        (*buffer != is.buffer, "buffer"),
        (*sandbox != is.sandbox, "sandbox"),
    ]
    .into_iter()
    .filter(|(differs, _)| *differs)
    .map(|(_, key)| key)
    .collect();
    if !keys.is_empty() {
        what.push(format!("other {}", keys.join(", ")));
    }
    what
}

/// The addresses that the file names itself.
fn addresses(source: &Source) -> Option<String> {
    let Source::Fixed(all) = source else { return None };
    Some(all.iter().map(|(address, _): &(Address, u32)| address.to_string()).collect::<Vec<_>>().join(", "))
}
