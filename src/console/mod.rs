//! The console: pages over the same structs as the API, drawn on the server; live by fragments where there is a script.

mod act;
mod ask;
mod board;
mod by_eye;
mod chart;
mod copies;
mod differs;
mod evidence;
mod explain;
mod explain_form;
mod file;
mod filter;
mod fleet;
mod form;
mod grounds;
mod inventory;
mod journal;
mod login;
mod meaning;
mod needs;
mod outcome;
mod overview;
mod page;
mod planned;
mod progress;
mod recent;
mod refused;
mod requests;
mod retirement;
mod route;
mod rule;
mod shared;
mod shown;
mod sides;
mod sign_in;
mod spark;
mod stream;
mod taken;
mod text;
mod upstreams;
mod verdict;
mod visitor;
mod windows;

use std::io::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use async_trait::async_trait;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, header};
use maud::Markup;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use crate::admin::{PageRequest, PageServer, Parts, Reply, refused_bearer};
use crate::compile::Role;
use crate::live::AdminKey;
use crate::message::percent_encoded;
use crate::proxy::Generation;
use act::Command;
use form::Form;
use login::{Holder, Sessions};
use outcome::Done;
use overview::SharedOverview;
use page::{ASSETS, CSS, ICON, Layout, SCRIPT};
use progress::ProgressLine;
use recent::RecentRequests;
use shared::SharedPages;
use text::RedactedTexts;
use visitor::{How, Visitor, address, bearer, posted, visitor};

/// The pages, and the sessions.
pub struct Console {
    sessions: Sessions,
    shared: SharedPages,
    overview: SharedOverview,
    texts: RedactedTexts,
    progress: Arc<ProgressLine>,
    streams: stream::PageStreams,
    recent: RecentRequests,
}

/// A form of ours is small; but for a whole file.
const FORM: usize = 16 * 1024;
/// A file of 1 MiB in a form, where every byte may take three.
const WHOLE_FILE: usize = 3 * 1024 * 1024 + FORM;

impl Default for Console {
    fn default() -> Self {
        Self {
            sessions: Sessions::new(),
            shared: SharedPages::default(),
            overview: SharedOverview::default(),
            texts: RedactedTexts::default(),
            progress: Arc::default(),
            streams: stream::PageStreams::default(),
            recent: RecentRequests::default(),
        }
    }
}

/// From the page at this path to the root.
fn root(path: &str) -> &'static str {
    match path.matches('/').count() {
        0 | 1 => "",
        2 => "../",
        _ => "../../",
    }
}

/// The reply to a visitor without a name or role.
fn nobody(parts: &Parts, request: &PageRequest) -> Reply {
    match bearer(request) {
        Some(_) => refused_bearer(parts, address(parts, request)),
        None => sign_in::wanted(request),
    }
}

#[async_trait]
impl PageServer for Console {
    fn has(&self, path: &str) -> bool {
        let page = matches!(
            path,
            "/" | "/inventory"
                | "/requests"
                | "/journal"
                | "/upstreams"
                | "/file"
                | "/explain"
                | "/fleet"
                | "/favicon.ico"
        );
        page || path.starts_with("/route/") || path.starts_with("/console/")
    }

    fn is_stream(&self, path: &str) -> bool {
        matches!(path, "/console/live" | "/console/stream")
    }

    fn is_urgent(&self, request: &PageRequest) -> bool {
        request.method == Method::POST && request.uri.path() == "/console/act"
            || request.uri.path().starts_with("/console/assets/")
    }

    fn longest_body(&self, request: &PageRequest) -> usize {
        if request.uri.path() == "/console/check" { WHOLE_FILE } else { FORM }
    }

    fn link(&self, name: &str, role: Role, key: Option<Arc<AdminKey>>) -> String {
        let holder = Holder { name: name.into(), role, key };
        format!("console/enter?link={}", self.sessions.link(holder, Instant::now()))
    }

    fn known(&self, parts: &Parts, request: &PageRequest) -> Option<(Arc<str>, Role)> {
        // Another site's page may be the reason of a request that a browser sends, never of one that it lets that page read.
        if request.field("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
            return None;
        }
        let visitor = visitor(parts, &self.sessions, request, false);
        matches!(visitor.how, How::Session | How::Proxy).then_some((visitor.name, visitor.role))
    }

    async fn answer(&self, parts: &Arc<Parts>, request: PageRequest) -> Reply {
        let path = request.uri.path();
        if let Some(asset) = path.strip_prefix("/console/assets/") {
            return asset_of(asset, &request);
        }
        // Of what is no page of ours, a refusal for one, a browser asks for the icon here.
        if path == "/favicon.ico" {
            return Reply::new(200, "image/svg+xml", ICON.into());
        }
        let by_itself = request.field("sec-fetch-dest") == Some("empty");
        let visitor = visitor(parts, &self.sessions, &request, !by_itself);
        let get = matches!(request.method, Method::GET | Method::HEAD);
        if !get && request.method != Method::POST {
            let takes_forms = ["login", "enter", "logout", "act", "check"]
                .iter()
                .any(|name| path.strip_prefix("/console/") == Some(name));
            return Reply::not_allowed(if takes_forms { "GET, HEAD, POST" } else { "GET, HEAD" });
        }
        let made = self.made(&visitor, &Form::of_query(request.uri.query()));
        let frame = Layout {
            parts,
            visitor: &visitor,
            root: root(path),
            here: None,
            elsewhere: !get,
            made: made.as_deref(),
            by_itself: false,
        };
        let reply = match path {
            "/console/login" | "/console/enter" | "/console/logout" => sign_in::answer(&self.sessions, frame, &request),
            _ if visitor.how == How::Nobody => return refused::page(frame, &request, nobody(parts, &request)),
            _ if get => self.get(parts, frame, &request, by_itself).await,
            "/console/act" => self.act(parts, frame, &request).await,
            "/console/check" => self.check(parts, frame, &request).await,
            _ => Reply::not_allowed("GET, HEAD"),
        };
        visitor.remembered(parts, &request, refused::page(frame, &request, reply))
    }

    async fn stream(
        &self,
        parts: &Arc<Parts>,
        request: &PageRequest,
        session: &mut ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<Reply> {
        if request.method != Method::GET {
            return Some(Reply::not_allowed("GET"));
        }
        let who = visitor(parts, &self.sessions, request, false);
        if who.how == How::Nobody {
            return Some(
                bearer(request).map_or_else(|| Reply::problem(401, "sign in first"), |_| nobody(parts, request)),
            );
        }
        let goes_on = || visitor(parts, &self.sessions, request, false).how != How::Nobody;
        match request.uri.path() {
            "/console/live" => stream::live(parts, &self.streams, request, &who, session, shutdown, &goes_on).await,
            _ => stream::requests(parts, &self.streams, request, &who, session, shutdown, &goes_on).await,
        }
    }
}

impl Console {
    async fn get(&self, parts: &Arc<Parts>, frame: Layout<'_>, request: &PageRequest, by_itself: bool) -> Reply {
        let (path, query) = (request.uri.path(), Form::of_query(request.uri.query()));
        let at = |here| Layout { here: Some(here), ..frame };
        match path {
            "/file" => {
                // One generation for the whole page: what is tried stands beside the text that it was added to.
                let generation = parts.app.in_force.load();
                let tried = file::proposed(parts, &generation, &frame, &query).await;
                // The live part is drawn anew without the plan, which takes its time.
                let frame = Layout { elsewhere: tried.is_some(), ..at("file") };
                self.file(frame, &generation, &query, tried.as_ref()).await
            }
            "/console/act" => self.ask(parts, at(""), &query).await,
            "/console/copy" => Reply::html(200, requests::copy(&at("requests"), &query).into_string()),
            _ => {
                let gzip = takes_gzip(request.field("accept-encoding").unwrap_or(""));
                if path == "/requests" && !by_itself {
                    self.recent.look(parts);
                }
                let (now, of) = (Instant::now(), by_itself.then(|| drawn_from(&frame, request, gzip)));
                if let Some(page) = of.as_ref().and_then(|of| self.shared.find(of, now)) {
                    return page;
                }
                let Some((status, text)) = self.draw(frame, path, &query).await else {
                    return Reply::problem(404, "there is no page at this path");
                };
                let page = if gzip {
                    Reply::new(status, "text/html; charset=utf-8", packed(text.as_bytes(), Compression::fast()))
                        .with(header::VARY, "Accept-Encoding".to_owned())
                        .with(header::CONTENT_ENCODING, "gzip".to_owned())
                } else {
                    Reply::html(status, text)
                };
                if let Some(of) = of {
                    self.shared.keep(of, page.clone(), now);
                }
                page
            }
        }
    }

    async fn ask(&self, parts: &Arc<Parts>, frame: Layout<'_>, query: &Form) -> Reply {
        if !frame.visitor.operates() {
            return Reply::problem(403, "this role may look, not change: its role is `read`");
        }
        let word = self.sessions.word(&frame.visitor.cookie, "act");
        let asked = match Command::read(query) {
            Ok(act) => act::ask(&frame, parts, act, (query, &word)).await,
            Err(why) => Err(why.into()),
        };
        match asked {
            Ok(main) => Reply::html(200, frame.page("Sure?", &main)),
            Err(why) => {
                let frame = Layout { elsewhere: true, ..frame };
                Reply::html(409, frame.page("Not now", &act::not_done(&frame, &why.to_string(), query.some("route"))))
            }
        }
    }

    async fn act(&self, parts: &Arc<Parts>, frame: Layout<'_>, request: &PageRequest) -> Reply {
        let form = match self.allowed(frame, request, "act") {
            Ok(form) => form,
            Err(refused) => return refused,
        };
        let act = match Command::read(&form) {
            Ok(act) => act,
            Err(why) => return Reply::problem(400, &why.to_string()),
        };
        match act::done(parts, act, &form, &frame.visitor.who(parts, request)).await {
            Done::Said(text, route) => {
                let page = match (&route, form.get("do")) {
                    (Some(route), _) => format!("route/{}", percent_encoded(route)),
                    (None, "rule") => "inventory".to_owned(),
                    (None, "reload") => "file".to_owned(),
                    (None, _) => "./".to_owned(),
                };
                let at = jiff::Timestamp::now().as_second();
                let word = self.sessions.word(&frame.visitor.cookie, &made_by(&text, at));
                let made = percent_encoded(&text);
                Reply::see_other(format!("{}{page}?made={made}&at={at}&word={word}", frame.root))
            }
            Done::Answered(report) => {
                let frame = Layout { here: Some(""), ..frame };
                Reply::html(200, frame.page("Asked again", &evidence::answers(&frame, &report)))
            }
            Done::Refused(status, why) => {
                let frame = Layout { here: Some(""), ..frame };
                Reply::html(status, frame.page("Not done", &act::not_done(&frame, &why, form.some("route"))))
            }
        }
    }

    async fn check(&self, parts: &Arc<Parts>, frame: Layout<'_>, request: &PageRequest) -> Reply {
        let form = match self.allowed(frame, request, "check") {
            Ok(form) => form,
            Err(refused) => return refused,
        };
        let frame = Layout { here: Some("file"), ..frame };
        match file::check(parts, form.get("text")).await {
            Some(checked) => self.file(frame, &parts.app.in_force.load(), &Form::default(), Some(&checked)).await,
            None => Reply::problem(500, "the text could not be looked at"),
        }
    }

    async fn file(&self, frame: Layout<'_>, of: &Generation, query: &Form, checked: Option<&file::Checked>) -> Reply {
        let Some(text) = self.texts.of(&of.snapshot.sources).await else {
            return Reply::problem(500, "the text could not be looked at");
        };
        let word = self.sessions.word(&frame.visitor.cookie, "check");
        Reply::html(200, frame.page("File", &file::file(&frame, (of.number, &text), query, (checked, &word))))
    }

    /// A form that may change something, from a visitor whose role allows it.
    fn allowed(&self, frame: Layout<'_>, request: &PageRequest, act: &str) -> Result<Form, Reply> {
        let visitor: &Visitor = frame.visitor;
        let form = posted(frame.parts, &self.sessions, request, visitor, act)?;
        if !visitor.operates() {
            return Err(Reply::problem(403, "this role may look, not change: its role is `read`"));
        }
        Ok(form)
    }
}

impl Console {
    /// The message of the last act, shown for a minute above the page that it leads to.
    fn made(&self, visitor: &Visitor, query: &Form) -> Option<String> {
        let (said, at) = (query.some("made")?, query.get("at").parse::<i64>().ok()?);
        let is_ours = self.sessions.is_word(&visitor.cookie, &made_by(said, at), query.get("word"));
        let is_fresh = (0..60).contains(&(jiff::Timestamp::now().as_second() - at));
        (is_ours && is_fresh).then(|| shown::cut(said, visitor::LONGEST).to_owned())
    }

    /// Pages without forms that change anything, and so without the words of such forms: these may be packed, although they hold
    /// what strangers wrote. `None`: there is none at this path.
    async fn draw(&self, frame: Layout<'_>, path: &str, query: &Form) -> Option<(u16, String)> {
        let at = |here| Layout { here: Some(here), ..frame };
        let page = |here, title: &str, main: &Markup| Some((200, at(here).page(title, main)));
        match path {
            "/" => {
                let days = self.progress.days(&frame.parts.app.store, Instant::now());
                page("", "Board", &board::board(&at(""), query, &days, &self.overview))
            }
            "/inventory" => page("inventory", "Inventory", &inventory::inventory(&at("inventory"), query)),
            "/requests" => {
                let at = at("requests");
                if let Some(id) = query.some("one") {
                    return Some((200, at.page("Request", &requests::one(&at, id, &self.recent))));
                }
                let at = Layout { by_itself: true, ..at };
                Some((200, at.page("Requests", &requests::requests(&at, query, &self.recent))))
            }
            "/explain" => page("explain", "Explain", &explain::explain(&at("explain"), query)),
            "/fleet" => {
                // The board has the replicas, too: they are drawn anew from there, without etcd.
                let frame = Layout { elsewhere: true, ..at("") };
                Some((200, frame.page("Fleet", &fleet::fleet(&frame).await)))
            }
            "/upstreams" => page("upstreams", "Upstreams", &upstreams::upstreams(&at("upstreams"))),
            "/journal" => {
                let read = read_journal(&frame, query).await;
                page("journal", "Journal", &journal::journal(&at("journal"), query, &read))
            }
            _ => {
                let name = path.strip_prefix("/route/").filter(|name| !name.contains('/'))?;
                let name = Form::read(format!("n={name}").as_bytes()).get("n").to_owned();
                let moves = frame.parts.reloader.journal().newest(Some(&name), None, 50).unwrap_or_default();
                if let Some(main) = route::route(&at(""), &name, &moves) {
                    return page("", &name, &main);
                }
                let frame = Layout { elsewhere: true, ..at("") };
                Some((404, frame.page("No such route", &route::none(&frame, &name))))
            }
        }
    }
}

/// All that a page is drawn from, but for figures and times.
fn drawn_from(frame: &Layout<'_>, request: &PageRequest, gzip: bool) -> String {
    let Visitor { name, role, how, .. } = frame.visitor;
    format!("{} {name} {role:?} {how:?} {gzip} {:?}", request.uri, stream::state(frame.parts))
}

/// The signed form of an act's message: no other site can put words onto the page.
fn made_by(text: &str, at: i64) -> String {
    format!("made {at} {text}")
}

async fn read_journal(frame: &Layout<'_>, query: &Form) -> journal::JournalRead {
    let asked = journal::JournalFilter::read(query.get("q"));
    let before = query.some("before").and_then(|id| id.parse().ok());
    let reloader = Arc::clone(&frame.parts.reloader);
    // A disk may take its time, which is not this runtime's.
    let read = move || {
        let journal = reloader.journal();
        let entries = journal.newest(asked.route.as_deref(), before, journal::READ);
        journal::JournalRead { entries, newest: journal.newest(None, None, journal::READ).unwrap_or_default() }
    };
    tokio::task::spawn_blocking(read)
        .await
        .unwrap_or_else(|_| journal::JournalRead { entries: Ok(Vec::new()), newest: Vec::new() })
}

/// The style sheet and the script, packed once. Pages with forms are not packed: they hold the words of the forms beside what
/// strangers wrote, and the length of a packed text tells of both.
static PACKED: LazyLock<[Vec<u8>; 2]> =
    LazyLock::new(|| [CSS, SCRIPT].map(|text| packed(text.as_bytes(), Compression::best())));

fn packed(text: &[u8], level: Compression) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), level);
    packer.write_all(text).and_then(|()| packer.finish()).expect("memory takes every byte")
}

fn asset_of(asset: &str, request: &PageRequest) -> Reply {
    let Some(name) = asset.strip_prefix(ASSETS.as_str()).and_then(|rest| rest.strip_prefix('/')) else {
        return Reply::problem(404, "there is no such asset");
    };
    let (kind, text, packed) = match name {
        "console.css" => ("text/css; charset=utf-8", CSS, Some(&PACKED[0])),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT, Some(&PACKED[1])),
        "icon.svg" => ("image/svg+xml", ICON, None),
        _ => return Reply::problem(404, "there is no such asset"),
    };
    let reply =
        |body: &[u8]| Reply::new(200, kind, body.to_vec()).with(header::VARY, "Accept-Encoding".to_owned()).for_ever();
    match packed.filter(|_| takes_gzip(request.field("accept-encoding").unwrap_or(""))) {
        Some(packed) => reply(packed).with(header::CONTENT_ENCODING, "gzip".to_owned()),
        None => reply(text.as_bytes()),
    }
}

/// `gzip` is named, and not with the weight 0.
fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse::<f32>().ok());
        named && weight.is_none_or(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_is_packed_for_those_who_take_it() {
        for (accepted, packed) in
            [("gzip, deflate, br", true), ("br;q=1, gzip;q=0.5", true), ("gzip;q=0", false), ("", false), ("br", false)]
        {
            assert_eq!(takes_gzip(accepted), packed, "{accepted}");
        }
        let all: usize = PACKED.iter().map(Vec::len).sum::<usize>() + ICON.len();
        assert!(all < 12 * 1024, "{all} bytes");
    }
}
