//! The seam to the console: pages over the same parts as the API. They lie beside this module, so they are handed in.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderMap, Method, Uri};
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;

use super::{Parts, Reply};
use crate::compile::Role;
use crate::live::AdminKey;

/// A request for a page, read to its end.
#[derive(Debug)]
pub struct PageRequest {
    pub method: Method,
    pub uri: Uri,
    pub fields: HeaderMap,
    /// The TCP peer.
    pub peer: Option<IpAddr>,
    pub body: Vec<u8>,
}

impl PageRequest {
    /// A field that is text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Pages for people. They check the visitor's role themselves, and draw only the buttons that it may press.
#[async_trait]
pub trait PageServer: Send + Sync {
    /// There is a page at this path.
    fn has(&self, path: &str) -> bool;

    /// The response at this path does not end.
    fn is_stream(&self, path: &str) -> bool;

    /// It does not wait behind other readers: a roll-back, the big red button, a small file.
    fn is_urgent(&self, request: &PageRequest) -> bool;

    /// Bytes that its body may have.
    fn longest_body(&self, request: &PageRequest) -> usize;

    /// A path, below the root, that opens a session of this name once.
    /// The session lasts as long as the key, if there is one.
    fn link(&self, name: &str, role: Role, key: Option<Arc<AdminKey>>) -> String;

    /// The caller by its session or by its proxy: a page's links to the API work for every caller that may see the page.
    fn known(&self, parts: &Parts, request: &PageRequest) -> Option<(Arc<str>, Role)>;

    async fn answer(&self, parts: &Arc<Parts>, request: PageRequest) -> Reply;

    /// Writes events until the watcher leaves. A reply: it was refused, and nothing was written yet.
    async fn stream(
        &self,
        parts: &Arc<Parts>,
        request: &PageRequest,
        session: &mut ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<Reply>;
}
