//! Diagnostics for the certificates that a file names, where they can be read.

use std::path::Path;

use jiff::Timestamp;

use crate::compile::{Certificate, Snapshot};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Sources};
use crate::listener::tls::{TlsCause, TlsError, check_client_authority, read, trusting};
use crate::upstream::{PeerProblem, certificate_problem};

/// Programs renew certificates earlier than this; one that is closer to its end was forgotten.
const SOON: i64 = 7 * 24 * 3600;

/// Files that cannot be used are errors, certificates that expire are warnings, and so are files that are not here: the machine
/// that checks a file is often not the one that serves with it.
pub(super) fn check(snapshot: &Snapshot, diagnostics: &mut Diagnostics) {
    let now = Timestamp::now().as_second();
    let tls = &snapshot.server.tls;
    for pair in &tls.certificates {
        say(of(pair, now), &snapshot.sources, diagnostics);
    }
    let clients = tls.client_ca.as_deref().and_then(|ca| check_client_authority(ca).err());
    let acme = tls.acme.as_ref().and_then(|acme| acme.ca.as_deref()).and_then(|ca| trusting(ca).err());
    for error in clients.into_iter().chain(acme) {
        let help = "put the certificate of the authority in place, in PEM";
        say(Some(unusable(&error, help)), &snapshot.sources, diagnostics);
    }
    for upstream in &snapshot.upstreams {
        let Some(tls) = &upstream.tls else { continue };
        let found = certificate_problem(tls).map(|problem| of_upstream(&problem, &upstream.name, tls.ca.as_deref()));
        say(found, &snapshot.sources, diagnostics);
    }
}

/// A diagnostic of a file, with its path as it is written.
type Found = (String, Diagnostic);

fn say(found: Option<Found>, sources: &Sources, diagnostics: &mut Diagnostics) {
    if let Some((path, diagnostic)) = found {
        diagnostics.push(sources.placed(diagnostic, &path));
    }
}

/// Authorities, a certificate or a key towards an upstream.
fn of_upstream(problem: &PeerProblem, upstream: &str, authority: Option<&Path>) -> Found {
    let path = problem.file();
    let (what, code) = if authority == Some(path) {
        ("authority", Code::MissingAuthority)
    } else {
        ("certificate", Code::MissingFile)
    };
    let shown = path.display();
    let diagnostic = if path.exists() {
        let message = format!("the {what} of `{upstream}` cannot be used: {problem}");
        let help = if what == "authority" { "put the certificate of the authority in place, in PEM" } else { PAIR };
        Diagnostic::new(Code::UnusableCertificate, message).label("cannot be used").help(help)
    } else {
        let message = format!("the {what} of `{upstream}` is not here: there is no file `{shown}`");
        let help =
            "put it in place before multilith serves with this file: without it no endpoint of the upstream is asked";
        Diagnostic::new(code, message).label("no such file").help(help)
    };
    (shown.to_string(), diagnostic)
}

const PAIR: &str = "put a certificate and its own key in place, both in PEM";

/// A file of the listeners.
fn unusable(error: &TlsError, help: &str) -> Found {
    let path = error.path.display().to_string();
    let diagnostic = if matches!(error.cause, TlsCause::Missing) {
        let help = "put it in place before multilith serves with this file: without it, it does not start";
        Diagnostic::new(Code::MissingFile, format!("there is no file `{path}`")).label("no such file").help(help)
    } else {
        Diagnostic::new(Code::UnusableCertificate, error.to_string()).label("cannot be used").help(help)
    };
    (path, diagnostic)
}

fn of(pair: &Certificate, now: i64) -> Option<Found> {
    let found = match read(pair) {
        Ok(found) => found,
        Err(error) => return Some(unusable(&error, PAIR)),
    };
    let left = found.validity.not_after - now;
    if left > SOON {
        return None;
    }
    let (path, when) = (pair.cert.display(), Timestamp::from_second(found.validity.not_after).ok()?);
    let message = if left <= 0 {
        format!("the certificate in `{path}` has expired: {when}")
    } else {
        format!("the certificate in `{path}` expires within a week: {when}")
    };
    let help =
        "put a new one in its place: a running multilith sees it by itself; or let it be ordered: `[server.tls.acme]`";
    Some((path.to_string(), Diagnostic::new(Code::CertificateExpires, message).label("renew it").help(help)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::compile::compile;

    use crate::diagnostic::Span;

    fn said(cert: &PathBuf, key: &PathBuf) -> Vec<(Code, Option<Span>, String)> {
        let text = format!(
            "[monolith]\nurl = \"http://127.0.0.1:1\"\n[server.tls]\nlisten = [\"127.0.0.1:8443\"]\n\
             certificates = [{{ cert = {cert:?}, key = {key:?} }}]\n"
        );
        let mut compiled = compile(&text, "routes.toml", &|_| None);
        check(compiled.snapshot.as_ref().expect("a right file"), &mut compiled.diagnostics);
        compiled.diagnostics.iter().map(|found| (found.code, found.span.clone(), found.message.clone())).collect()
    }

    #[test]
    fn pairs_that_do_not_fit_and_certificates_that_expire_are_said_with_their_place() {
        let folder = std::env::temp_dir().join(format!("multilith-check-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let pair = |name: &str, left: i64| {
            let (cert, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
            let mut params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
            let now = Timestamp::now().as_second();
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after =
                rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs((now + left).unsigned_abs());
            let own = KeyPair::generate().unwrap();
            fs::write(&cert, params.self_signed(&own).unwrap().pem()).unwrap();
            fs::write(&key, own.serialize_pem()).unwrap();
            (cert, key)
        };
        let (good, good_key) = pair("good", 30 * 24 * 3600);
        let (old, old_key) = pair("old", -60);
        let (soon, soon_key) = pair("soon", 3600);
        assert!(said(&good, &good_key).is_empty());
        let elsewhere = folder.join("elsewhere.pem");
        for (cert, key, code, message) in [
            (&elsewhere, &good_key, Code::MissingFile, "there is no file"),
            (&good, &elsewhere, Code::MissingFile, "there is no file"),
            (&old, &old_key, Code::CertificateExpires, "has expired"),
            (&soon, &soon_key, Code::CertificateExpires, "expires within a week"),
            (&good, &old_key, Code::UnusableCertificate, "is not the one of the certificate"),
        ] {
            let said = said(cert, key);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].0 == code && said[0].1.is_some() && said[0].2.contains(message), "{said:?}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn files_of_authorities_and_upstreams_that_are_not_here_or_do_not_fit_are_said_with_their_place() {
        let folder = std::env::temp_dir().join(format!("multilith-check-ca-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let own = KeyPair::generate().unwrap();
        let authority = CertificateParams::new(vec!["legacy.example".to_owned()]).unwrap().self_signed(&own).unwrap();
        fs::write(folder.join("good.pem"), authority.pem()).unwrap();
        fs::write(folder.join("empty.pem"), "").unwrap();
        fs::write(folder.join("own.key"), own.serialize_pem()).unwrap();
        fs::write(folder.join("other.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let written = |name: &str| format!("{:?}", folder.join(name));
        let said = |text: String| {
            let mut compiled = compile(&text, "routes.toml", &|_| None);
            check(compiled.snapshot.as_ref().expect("a right file"), &mut compiled.diagnostics);
            let found = compiled.diagnostics.iter();
            found.map(|found| (found.code, found.span.clone().map(|span| text[span].to_owned()))).collect::<Vec<_>>()
        };
        let upstream = |tls: String| format!("[monolith]\nurl = \"https://legacy.example\"\ntls = {{ {tls} }}\n");
        let ca = |name: &str| upstream(format!("ca = {}", written(name)));
        let pair = |cert: &str, key: &str| upstream(format!("cert = {}, key = {}", written(cert), written(key)));
        let listener = |keys: &str, name: &str, after: &str| {
            let certificate = format!("{{ cert = {}, key = {} }}", written("good.pem"), written("own.key"));
            format!(
                "[monolith]\nurl = \"http://127.0.0.1:1\"\n[server]\nlisten = [\"127.0.0.1:80\"]\n[server.tls]\n\
                 listen = [\"127.0.0.1:443\"]\ncertificates = [{certificate}]\n{keys}{}{after}\n",
                written(name)
            )
        };
        let clients = |name: &str| listener("client_ca = ", name, "");
        let acme = |name: &str| listener("acme = { hosts = [\"shop.example\"], ca = ", name, " }");
        for text in [ca("good.pem"), pair("good.pem", "own.key"), clients("good.pem"), acme("good.pem")] {
            assert_eq!(said(text.clone()), [], "{text}");
        }
        for (text, code, name) in [
            (ca("elsewhere.pem"), Code::MissingAuthority, "elsewhere.pem"),
            (ca("empty.pem"), Code::UnusableCertificate, "empty.pem"),
            (pair("elsewhere.pem", "own.key"), Code::MissingFile, "elsewhere.pem"),
            (pair("good.pem", "elsewhere.key"), Code::MissingFile, "elsewhere.key"),
            (pair("good.pem", "other.key"), Code::UnusableCertificate, "other.key"),
            (pair("empty.pem", "own.key"), Code::UnusableCertificate, "empty.pem"),
            (clients("elsewhere.pem"), Code::MissingFile, "elsewhere.pem"),
            (clients("empty.pem"), Code::UnusableCertificate, "empty.pem"),
            (acme("elsewhere.pem"), Code::MissingFile, "elsewhere.pem"),
            (acme("empty.pem"), Code::UnusableCertificate, "empty.pem"),
        ] {
            assert_eq!(said(text.clone()), [(code, Some(written(name)))], "{text}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
