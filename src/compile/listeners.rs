//! The addresses that the proxy listens on: each can be read, no two are one.

use std::collections::HashMap;
use std::sync::Arc;

use super::address::{AddressError, HostPort, host_port, join, without_scheme};
use super::draft::Draft;
use crate::config::Item;
use crate::diagnostic::{Code, Diagnostic, Span};

/// Every listener so far, by port.
#[derive(Debug, Default)]
pub(super) struct Listeners(HashMap<u16, Vec<Listener>>);

#[derive(Debug)]
struct Listener {
    host: Box<str>,
    span: Span,
}

impl Listeners {
    pub(super) fn list(&mut self, items: &[Item<String>], draft: &mut Draft<'_>) -> Vec<Arc<str>> {
        items.iter().filter_map(|item| self.add(&item.value, &item.span, draft)).map(|(address, _)| address).collect()
    }

    /// `host:port` in one spelling, and the host.
    pub(super) fn add(&mut self, text: &str, span: &Span, draft: &mut Draft<'_>) -> Option<(Arc<str>, Box<str>)> {
        match host_port(text, None) {
            Ok(address) => {
                self.take(address, span, draft);
                Some((join(address).into(), address.host.into()))
            }
            Err(error) => {
                invalid(text, &without_scheme(text).unwrap_or(error), span, draft);
                None
            }
        }
    }

    fn take(&mut self, address: HostPort<'_>, span: &Span, draft: &mut Draft<'_>) {
        // Port 0 is another port each time.
        if address.port == 0 {
            return;
        }
        let known = self.0.entry(address.port).or_default();
        if let Some(before) = known.iter().find(|known| overlap(&known.host, address.host)) {
            draft.push(
                Diagnostic::new(Code::DuplicateListener, format!("`{}` is already listened on", join(address)))
                    .at(span.clone())
                    .label("cannot listen twice")
                    .related(before.span.clone(), "first here")
                    .help("give one of them another port"),
            );
            return;
        }
        known.push(Listener { host: address.host.into(), span: span.clone() });
    }
}

/// One of the two takes connections that the other would take.
fn overlap(one: &str, other: &str) -> bool {
    let everything = |host: &str, v6: bool| host == if v6 { "::" } else { "0.0.0.0" };
    let v6 = |host: &str| host.contains(':');
    one == other || (v6(one) == v6(other) && (everything(one, v6(one)) || everything(other, v6(other))))
}

fn invalid(text: &str, error: &AddressError, span: &Span, draft: &mut Draft<'_>) {
    let at = draft.inside(span, text, error.part.clone());
    draft.say(Code::InvalidAddress, at, error.message.clone(), "not an address with a port", error.help.clone());
}
