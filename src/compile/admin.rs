//! The admin listener: its address, and the networks that can reach it.

use std::sync::Arc;

use super::address::{host_port, is_loopback, join};
use super::draft::{Draft, check_name};
use super::listeners::Listeners;
use super::secret::secret;
use super::{AdminToken, Role, TrustedUser};
use crate::config::{self, Field};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Sources, Span};

const DEFAULT_ADMIN: &str = "127.0.0.1:9900";

/// The admin address of a configuration, which may be wrong everywhere else: a verb has to find the proxy in the very moment in
/// which a file is broken. `None`: it does not tell, because the key, or what may have been the key, cannot be read.
#[must_use]
pub fn admin_address(sources: &Sources, env: config::Environment<'_>) -> Option<Arc<str>> {
    let mut diagnostics = Diagnostics::default();
    let parsed = config::parse_all(sources, env, &mut diagnostics);
    let unread = sources.found().iter().any(|found| found.code == Code::UnreadableFile);
    // A misspelt key or table may be the one that is looked for; and the file that has it may be one that cannot be read.
    let lost = parsed.tables_lost || unread || diagnostics.iter().any(|found| may_be_of_server(found, sources));
    let admin = match &parsed.file.server {
        Field::Given(server) => &server.value.admin,
        Field::Absent => &Field::Absent,
        Field::Wrong => &Field::Wrong,
    };
    match admin {
        Field::Given(given) => {
            host_port(&given.value, None).ok().filter(|found| found.port != 0).map(|it| join(it).into())
        }
        Field::Absent if !lost => Some(DEFAULT_ADMIN.into()),
        Field::Absent | Field::Wrong => None,
    }
}

/// An unknown key in `[server]`, or an unknown table.
fn may_be_of_server(found: &Diagnostic, sources: &Sources) -> bool {
    const OTHERS: [&str; 9] =
        ["monolith", "services", "routes", "matching", "limits", "timeouts", "logs", "tracing", "metrics"];
    let Some(span) = &found.span else { return false };
    let start = sources.file_of(span.start).map_or(0, |file| file.span.start);
    let Some(before) = sources.text().get(start..span.end) else { return false };
    let mut headers = before.lines().filter_map(|line| line.trim_start().strip_prefix('['));
    let table = headers.next_back().map(|header| header.trim_start_matches(['[', ' ']));
    let name = table.map(|table| table.split(['.', ']', ' ']).next().unwrap_or(""));
    found.code == Code::UnknownKey && name.is_none_or(|name| !OTHERS.contains(&name))
}

/// The address; `None` after something was reported.
pub(super) fn compile(server: &config::Server, listeners: &mut Listeners, draft: &mut Draft<'_>) -> Option<Arc<str>> {
    let given = match &server.admin {
        Field::Given(given) => given,
        Field::Wrong => return None,
        Field::Absent => return listeners.add(DEFAULT_ADMIN, &server.span, draft).map(|(address, _)| address),
    };
    let (address, host) = listeners.add(&given.value, &given.span, draft)?;
    let none = matches!(&server.tokens, Field::Given(given) if given.value.is_empty()) || server.tokens.is_absent();
    if server.token.is_absent() && none && !is_loopback(&host) {
        without_token(&address, given.span.clone(), draft);
    }
    Some(address)
}

fn without_token(address: &str, span: Span, draft: &mut Draft<'_>) {
    let port = address.rsplit(':').next().unwrap_or("9900");
    draft.say(
        Code::AdminWithoutToken,
        span,
        format!("the admin listener on `{address}` can be reached from other machines and has no token"),
        "not a loopback address",
        format!(
            "add `token = {{ env = \"MULTILITH_TOKEN\" }}`, or write `admin = \"127.0.0.1:{port}\"`; metrics alone need no token: `metrics = \"{address}\"`"
        ),
    );
}

/// The callers that may use the listener: `token` is one of that name, with every role.
pub(super) fn tokens(server: &config::Server, draft: &mut Draft<'_>) -> Vec<AdminToken> {
    let own =
        server.token.get().map(|token| AdminToken { name: "token".into(), token: secret(token), role: Role::Operate });
    let mut tokens: Vec<_> = own.into_iter().collect();
    for item in server.tokens.get().map(Vec::as_slice).unwrap_or_default() {
        let (Some(name), Some(token)) = (item.value.name.given(), item.value.token.get()) else { continue };
        check_name("token", &name.value, name.span.clone(), draft);
        if tokens.iter().any(|known| *known.name == *name.value) {
            draft.say(
                Code::DuplicateValue,
                name.span.clone(),
                format!("two tokens are called `{}`", name.value),
                "again",
                "give each token a name of its own: it says in the journal who it was; the one in `token` is called `token`",
            );
        }
        let role = role(item.value.role.or(config::Role::Read));
        tokens.push(AdminToken { name: name.value.as_str().into(), token: secret(token), role });
    }
    tokens
}

/// Names under which the admin listener may be reached, in lower case.
pub(super) fn hosts(server: &config::Server, draft: &mut Draft<'_>) -> Vec<Box<str>> {
    let mut hosts = Vec::new();
    for item in server.admin_hosts.get().map(Vec::as_slice).unwrap_or_default() {
        match super::address::host_port(&item.value, Some(0)) {
            Ok(_) => hosts.push(item.value.to_ascii_lowercase().into()),
            Err(error) => {
                let at = draft.inside(&item.span, &item.value, error.part);
                let help = "write a host, or a host and a port: `edge.internal:9900`";
                draft.say(Code::InvalidAddress, at, error.message, "not a host", help);
            }
        }
    }
    hosts
}

pub(super) const fn role(written: config::Role) -> Role {
    match written {
        config::Role::Read => Role::Read,
        config::Role::Operate => Role::Operate,
    }
}

/// The console's rights without a token.
pub(super) fn console(server: &config::Server, draft: &mut Draft<'_>) -> Role {
    let named = server.tokens.get().is_some_and(|tokens| !tokens.is_empty());
    if let Some(given) = server.console.given().filter(|_| named || !server.token.is_absent()) {
        draft.say(
            Code::UselessSetting,
            given.span.clone(),
            "`console` without effect: with tokens each has a role of its own",
            "holds on loopback without a token",
            "remove it, and give the tokens in `[[server.tokens]]` their `role`",
        );
    }
    role(server.console.or(config::Role::Operate))
}

/// The path below which the listener is shown, with `/` at both ends.
pub(super) fn base(server: &config::Server, draft: &mut Draft<'_>) -> Box<str> {
    let Some(given) = server.admin_base.given() else { return "/".into() };
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    if !given.value.starts_with('/') || given.value.contains("//") || !given.value.chars().all(fine) {
        draft.say(
            Code::InvalidValue,
            given.span.clone(),
            format!("`{}` is not a path below which admin can be shown", given.value),
            "not a path",
            "write the path as the proxy in front has it, such as `admin_base = \"/edge/\"`",
        );
    }
    format!("{}/", given.value.trim_end_matches('/')).into()
}

pub(super) fn trusted_user(server: &config::Server, draft: &mut Draft<'_>) -> Option<TrustedUser> {
    let table = server.trusted_user.get()?;
    let from =
        super::networks::compile(&table.from, ("anybody may say who they are", super::networks::OF_PROXIES), draft);
    if let Some(given) = table.from.given().filter(|given| given.value.is_empty()) {
        draft.say(
            Code::UselessSetting,
            given.span.clone(),
            "`trusted_user` without a network: no proxy is believed",
            "nobody",
            "name the proxy that signs people in, such as `from = [\"10.0.0.9/32\"]`, or remove the table",
        );
    }
    Some(TrustedUser { header: table.header.get()?.clone(), from, role: role(table.role.or(config::Role::Read)) })
}

#[cfg(test)]
mod tests {
    use super::admin_address;
    use crate::diagnostic::Sources;

    #[test]
    fn the_admin_address_is_read_from_a_file_that_is_otherwise_wrong() {
        let env = |name: &str| (name == "ADMIN").then(|| "127.0.0.1:7000".to_owned());
        for (text, address) in [
            (
                "[server]\nadmin = \"127.0.0.1:9911\"\n[monolith]\nurl = \"http://127.0.0.1:1\"\n",
                Some("127.0.0.1:9911"),
            ),
            ("[server]\nadmin = \"127.0.0.1:9911\"\n[routes.a]\nstage = \"shdow\"\n", Some("127.0.0.1:9911")),
            ("[server]\nadmin = \"127.0.0.1:9911\"\n[routes.a\nstage = shadow\n", Some("127.0.0.1:9911")),
            ("[server]\nlisten = 7\nadmin = \"127.0.0.1:9911\"\nadmn = 1\n", Some("127.0.0.1:9911")),
            ("[server]\nadmin = \"${ADMIN}\"\n[sevices.x]\n", Some("127.0.0.1:7000")),
            // Without the key, the file's default holds, where the key cannot have been meant elsewhere.
            ("", Some("127.0.0.1:9900")),
            ("[monolith]\nurl = \"http://127.0.0.1:1\"\n[routes.a]\nstag = \"shadow\"\n", Some("127.0.0.1:9900")),
            ("[server]\nadmn = \"127.0.0.1:9911\"\n", None),
            ("[sever]\nadmin = \"127.0.0.1:9911\"\n", None),
            ("[server\nadmin = \"127.0.0.1:9911\"\n", None),
            ("[server]\nadmin = \"127.0.0.1:9911\n", None),
            ("[server]\nadmin = \"9911\"\n", None),
            ("[server]\nadmin = \"${MISSING}\"\n", None),
            // Port 0 is another port at each start.
            ("[server]\nadmin = \"127.0.0.1:0\"\n", None),
        ] {
            assert_eq!(admin_address(&Sources::one("routes.toml", text), &env).as_deref(), address, "{text}");
        }
    }
}
