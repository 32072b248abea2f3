//! DNS against a name server in the test.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, SRV};
use hickory_resolver::proto::rr::{Name, Record, RecordType};
use hickory_resolver::proto::serialize::binary::BinDecodable;

use super::super::super::tests::spec;
use super::super::super::{EndpointState, Pool, Unobserved, names};
use super::*;
use crate::endpoint::Source;

type Zone = HashMap<(&'static str, RecordType), Vec<RData>>;

/// Answers from a zone that the test may change; a name that is not in it does not exist.
#[derive(Clone)]
struct NameServer {
    port: u16,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<Instant>>>,
    ttl: u32,
}

impl NameServer {
    fn new(ttl: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let server = Self { port, zone: Arc::default(), asked: Arc::default(), ttl };
        let serving = server.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let answer = serving.answer(&Message::from_bytes(&buffer[..length]).unwrap());
                socket.send_to(&answer.to_vec().unwrap(), client).unwrap();
            }
        });
        server
    }

    fn answer(&self, question: &Message) -> Message {
        let query = question.queries[0].clone();
        if query.query_type() == RecordType::A {
            self.asked.lock().unwrap().push(Instant::now());
        }
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.message_type = MessageType::Response;
        answer.metadata.recursion_available = true;
        let zone = self.zone.lock().unwrap();
        let name = query.name().to_utf8();
        let name = name.trim_end_matches('.');
        match zone.iter().find(|((owner, kind), _)| *owner == name && *kind == query.query_type()) {
            Some((_, records)) => {
                for data in records {
                    answer.answers.push(Record::from_rdata(query.name().clone(), self.ttl, data.clone()));
                }
            }
            None if zone.keys().any(|(owner, _)| *owner == name) => {}
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        answer.queries.push(query);
        answer
    }

    fn set_addresses(&self, name: &'static str, last: &[u8]) {
        let records = last.iter().map(|last| RData::A(A(Ipv4Addr::new(127, 0, 0, *last)))).collect();
        self.zone.lock().unwrap().insert((name, RecordType::A), records);
    }

    fn resolver(&self) -> impl Fn() -> Result<TokioResolver, NetError> + use<> {
        let mut connection = ConnectionConfig::udp();
        connection.port = self.port;
        let server = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
        move || {
            let config = ResolverConfig::from_parts(None, vec![], vec![server.clone()]);
            let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            builder.options_mut().cache_size = 0;
            builder.build()
        }
    }
}

/// A pool that no task follows but those of the test.
fn pool() -> Arc<Pool> {
    let spec = Arc::new(spec(Source::Srv { name: "unused".into() }));
    let pool = Pool::new(&spec, (Instant::now(), &tokio::runtime::Handle::current()), Arc::new(Unobserved), None);
    tokio::spawn(names::keep_resolved(Arc::downgrade(&pool), Arc::default()));
    pool
}

fn listed(pool: &Pool) -> Vec<String> {
    let mut listed: Vec<_> =
        pool.with_members(|members| members.listed.iter().map(|e| e.address().to_owned()).collect());
    listed.sort();
    listed
}

async fn eventually(what: &str, pool: &Pool, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        let trouble = pool.with_members(|members| members.trouble().map(str::to_owned));
        assert!(Instant::now() < deadline, "it did not come true that {what}: {:?}, {trouble:?}", listed(pool));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn addresses_are_followed_and_kept_while_the_name_does_not_resolve() {
    let server = NameServer::new(0);
    server.set_addresses("users.test", &[1, 2]);
    let pool = pool();
    let sink = Sink::new(Arc::downgrade(&pool), None);
    tokio::spawn({
        let resolver = server.resolver();
        async move { addresses_from(sink, "users.test", 7001, resolver).await }
    });
    eventually("both are listed", &pool, || listed(&pool) == ["127.0.0.1:7001", "127.0.0.2:7001"]).await;
    server.set_addresses("users.test", &[2, 3]);
    eventually("one is replaced", &pool, || listed(&pool) == ["127.0.0.2:7001", "127.0.0.3:7001"]).await;
    server.zone.lock().unwrap().clear();
    eventually("trouble is reported", &pool, || pool.with_members(|members| members.trouble().is_some())).await;
    assert_eq!(listed(&pool), ["127.0.0.2:7001", "127.0.0.3:7001"]);
    server.set_addresses("users.test", &[4]);
    eventually("the new one is listed alone", &pool, || listed(&pool) == ["127.0.0.4:7001"]).await;
    assert!(pool.with_members(|members| members.trouble().is_none()));
}

#[tokio::test]
async fn a_lifetime_of_nothing_is_a_second_and_one_of_an_hour_a_minute() {
    assert_eq!([0, 1, 30, 3600].map(seconds).map(|d| d.as_secs()), [1, 1, 30, 60]);
    let server = NameServer::new(0);
    server.set_addresses("users.test", &[1]);
    let pool = pool();
    let sink = Sink::new(Arc::downgrade(&pool), None);
    tokio::spawn({
        let resolver = server.resolver();
        async move { addresses_from(sink, "users.test", 7001, resolver).await }
    });
    let asked = || server.asked.lock().unwrap().clone();
    eventually("it was asked for three times", &pool, || asked().len() >= 3).await;
    for (earlier, later) in asked().iter().zip(asked().iter().skip(1)) {
        assert!(*later - *earlier >= Duration::from_millis(950), "asked again after {:?}", *later - *earlier);
    }
}

#[tokio::test]
async fn services_have_ports_weights_and_priorities() {
    let server = NameServer::new(0);
    let target = |name: &str| Name::from_ascii(name).unwrap();
    let records = vec![
        RData::SRV(SRV::new(1, 10, 7001, target("one.test."))),
        RData::SRV(SRV::new(1, 0, 7002, target("two.test."))),
        RData::SRV(SRV::new(2, 1, 7003, target("one.test."))),
    ];
    server.zone.lock().unwrap().insert(("_http._tcp.users.test", RecordType::SRV), records.clone());
    server.set_addresses("one.test", &[1]);
    server.set_addresses("two.test", &[2]);
    let pool = pool();
    let sink = Sink::new(Arc::downgrade(&pool), None);
    tokio::spawn({
        let resolver = server.resolver();
        async move { services_from(sink, "_http._tcp.users.test", resolver).await }
    });
    let all = ["127.0.0.1:7001", "127.0.0.1:7003", "127.0.0.2:7002"];
    eventually("all are listed", &pool, || listed(&pool) == all).await;
    let weights = pool.with_members(|members| {
        members.listed.iter().map(|e| (e.address().to_owned(), e.weight())).collect::<HashMap<_, _>>()
    });
    assert_eq!((weights["127.0.0.1:7001"], weights["127.0.0.2:7002"]), (10, 1));
    let picked: std::collections::BTreeSet<_> =
        (0..50).map(|_| pool.pick(None, &[]).unwrap().address().to_owned()).collect();
    assert!(!picked.contains("127.0.0.1:7003"), "the second priority was picked while the first is well");
    let standby = pool.with_members(|members| {
        let endpoint = members.listed.iter().find(|e| e.address() == "127.0.0.1:7003").unwrap();
        let condition = endpoint.health.condition.lock();
        (condition.state, condition.why.clone())
    });
    assert_eq!(standby, (EndpointState::Unchecked, "waits: endpoints of priority 1 are well".to_owned()));

    // A target that does not resolve just now is not gone; a record that is gone, at the second look.
    server.zone.lock().unwrap().remove(&("two.test", RecordType::A));
    eventually("trouble is reported", &pool, || pool.with_members(|members| members.trouble().is_some())).await;
    assert_eq!(listed(&pool), all);
    server.zone.lock().unwrap().insert(("_http._tcp.users.test", RecordType::SRV), records[2..].to_vec());
    eventually("the others are gone", &pool, || listed(&pool) == ["127.0.0.1:7003"]).await;
    assert_eq!(pool.pick(None, &[]).unwrap().address(), "127.0.0.1:7003");
}
