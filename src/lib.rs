//! multilith is a strangler-fig edge proxy: it stands in front of a monolith and moves endpoints, one by one and with
//! proof, to new services.
//!
//! # The map
//!
//! A module uses only what stands below it; `tests/architecture.rs` keeps it so.
//!
//! | layer | what it does |
//! |---|---|
//! | [`cli`] | one file a verb; prints, decides the exit code |
//! | [`server`] | from a snapshot to a running server: sockets, runtimes, certificates by ACME, the end |
//! | [`admin`] | the API, metrics and health, on a listener of their own |
//! | [`console`] | the pages over the same structs as the API, drawn on the server |
//! | [`reload`] | the file changed: read, parse, compile, swap, or keep what is in force and say why |
//! | [`gate`] | the clock that asks [`migration::gate`] and moves the dial; the journal of moves |
//! | [`app`] | the parts of a running proxy, in one handle |
//! | [`listener`] | a client's connection from its accept to its end: addresses, TLS, which thread, one request after another |
//! | [`proxy`] | a request's way: one list of steps in the order in which they happen, and the one driver that runs them |
//! | [`downstream`] | the client's end of a connection: HTTP/1 and HTTP/2, deadlines, what is refused on it |
//! | [`plan`] | what would happen and what to do next: a file tried on what was learned |
//! | [`learn`] | the inventory of a running proxy: rings, the thread that empties them, what is kept |
//! | [`shadow`] | the second request, and what is learnt from it |
//! | [`upstream`] | pools of endpoints that are kept true to the world |
//! | [`fleet`] | one dial for many replicas: what they share by etcd |
//! | [`notify`] | tells chats and programs of moves |
//! | [`guard`] | what may cross the edge, and how it is cleaned |
//! | [`telemetry`] | metrics, access log, spans, events |
//! | [`live`] | the generation in force, and what moves: breakers, the big red button |
//! | [`store`] | the embedded database: the journal of moves, evidence, endpoints known last; beside `live` |
//! | [`compile`](mod@compile) | from the file to a snapshot, gathering every mistake (pure) |
//! | [`export`] | the routes as another proxy's configuration: the way out (pure) |
//! | [`client`] | the upstream's end of a connection: made or reused, written to and read from within bounds; HTTP/1 and HTTP/2 |
//! | [`route`], [`migration`], [`compare`], [`endpoint`] | the core: which route, which side, same or not, which endpoint (pure) |
//! | [`inventory`] | endpoints learned from traffic (pure) |
//! | [`message`] | heads as the bytes that came, bodies as pieces (pure) |
//! | [`config`] | what the file says: with places, unresolved (pure) |
//! | [`diagnostic`] | what we say to a person about their file (pure) |
//!
//! They are in five crates, each the sources of its rooms side by side in `src`: `routes_file.rs` has [`config`] and [`diagnostic`],
//! `core.rs` the pure rooms that a request passes, `background.rs` those that no request waits for ([`compile`](mod@compile),
//! [`inventory`] and [`store`]), `data_plane.rs` what else a request passes and all that this needs, this one what operates it: [`cli`], [`server`],
//! [`admin`], [`console`], [`reload`], [`gate`], [`app`], [`fleet`], [`notify`], [`plan`] and [`export`]. The program has its allocator from a sixth.
//!
//! Three states of a thing have three names: [`config::Route`] is what was written, [`compile::Route`] is compiled and never
//! changes, [`live::RouteState`] is what moves. A request loads one [`proxy::Generation`] at its start and holds it to its end. The state
//! that the rooms of this crate share while the proxy runs is one handle, [`app::App`]; a request's steps hold what they use of it.
//!
//! There is one way through the proxy, for HTTP/1 and HTTP/2 on either end. [`listener`] takes a connection and reads a head with
//! [`downstream`]; [`proxy::serve`] runs [`proxy::Steps`] over it, and moves bodies in both directions at once between the
//! client's end and the upstream's ([`client::End`]). Both ends are state machines with `poll_` methods that own what they have
//! not written: dropping a future that polls them loses nothing. A head stays the bytes that came ([`message`]); what no step
//! changes is copied to the other end. Pingora is the engine below: listeners, TLS, connectors, runtimes, the hand-over of
//! sockets; HTTP/2 frames are the crate h2's.
//!
//! # What always holds, and the test that is named after it
//!
//! - The core does no IO: `the_core_does_no_io` in `tests/architecture.rs`, and clippy's bans at the head of each pure room.
//! - Arrows point down, and no circle is added: in `tests/architecture.rs`.
//! - A request sees one snapshot: `a_request_sees_one_snapshot` in `tests/black_box/edge`.
//! - A refused reload changes nothing: `a_refused_reload_changes_nothing` in `tests/black_box/edge`.
//! - Raising a weight never moves a client back to the monolith: in [`migration`].
//! - A roll-back takes effect on the next request: in `tests/black_box/stages`.
//! - An unsafe method is never sent twice: in `tests/black_box/stages`.
//! - A shadow never delays or changes an answer: in `tests/black_box/shadow`.
//! - An unsafe method is never copied to the monolith, nor to what is not a sandbox: in `tests/black_box/shadow`.
//! - A row that was committed survives kill -9, and a store that cannot be used stops no request: in [`store`].
//! - Nothing secret is kept of what is compared: in `tests/black_box/shadow`.
//! - Every diagnostic has a code, a place and a remedy: in `tests/golden.rs`.
//! - Every metric on a dashboard exists: in `tests/dashboards`.
//! - No label comes from a raw path: in [`telemetry`].

pub mod admin;
pub mod app;
pub mod cli;
pub mod console;
pub mod export;
pub mod fleet;
pub mod gate;
pub mod notify;
pub mod plan;
pub mod reload;
pub mod server;

pub use multilith_data_plane::{
    client, compare, compile, config, diagnostic, downstream, endpoint, guard, inventory, learn, listener, live,
    message, migration, proxy, route, shadow, store, telemetry, upstream,
};
