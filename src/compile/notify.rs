//! `[notify.NAME]`: the receivers of moves.

use super::draft::Draft;
use super::pattern::takes;
use super::secret::secret;
use super::snapshot::NotifyTarget;
use crate::config::{self, Notice, NotifyFormat};
use crate::diagnostic::Code;

const ALL: [Notice; 5] = [Notice::Move, Notice::RolledBack, Notice::Waiting, Notice::Slow, Notice::FleetLost];

pub(super) fn compile(file: &config::File, draft: &mut Draft<'_>) -> Vec<NotifyTarget> {
    let Some(named) = file.notify.get() else { return Vec::new() };
    named.entries.iter().filter_map(|entry| target(file, entry, draft)).collect()
}

fn target(
    file: &config::File,
    entry: &config::NamedEntry<config::Notify>,
    draft: &mut Draft<'_>,
) -> Option<NotifyTarget> {
    let notify = &entry.value;
    let routes = notify.routes.get().map_or_else(
        || vec!["*".into()],
        |routes| routes.iter().map(|pattern| pattern.value.as_str().into()).collect::<Vec<Box<str>>>(),
    );
    for pattern in notify.routes.get().into_iter().flatten() {
        let names = file.routes.get().map(|routes| &routes.entries[..]).unwrap_or_default();
        if !draft.tables_lost && !names.iter().any(|route| takes(&pattern.value, &route.name)) {
            draft.say(
                Code::NotifyWithoutRoute,
                pattern.span.clone(),
                format!("`{}` is the name of no route", pattern.value),
                "no such route",
                "nothing is told for it: name a route, or a part of names with `*`",
            );
        }
    }
    let url = notify.url.given()?;
    if let config::Secret::Value(text) = &url.value.0
        && !is_url(text)
    {
        // The URL itself is not printed: it may hold a secret.
        draft.say(
            Code::InvalidUrl,
            url.span.clone(),
            format!("the URL of the notification `{}` cannot be asked", entry.name),
            "not a URL",
            "write `http://host[:port][/path]` or `https://…`, or `{ env = \"NAME\" }` with such a value",
        );
        return None;
    }
    Some(NotifyTarget {
        name: entry.name.as_str().into(),
        url: secret(&url.value.0),
        token: notify.token.get().map(secret),
        format: notify.format.get().copied().unwrap_or(NotifyFormat::Json),
        on: notify.on.get().map_or_else(|| ALL.to_vec(), |on| on.iter().map(|notice| notice.value).collect()),
        routes,
    })
}

fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    })
}
