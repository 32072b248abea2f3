//! What `check` says of the certificates that a file names, where they can be read.

use std::path::Path;

use jiff::Timestamp;

use crate::compile::{Certificate, Snapshot};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span};
use crate::server::tls::{TlsCause, TlsError, read};
use crate::upstream::read_authorities;

/// Programs renew certificates earlier than this; one that is closer to its end was forgotten.
const SOON: i64 = 7 * 24 * 3600;

/// Pairs that do not fit are errors, those that expire are warnings. A file that is not here is not missed: the machine that checks
/// a file is often not the one that serves with it.
pub(super) fn check(snapshot: &Snapshot, diagnostics: &mut Diagnostics) {
    let now = Timestamp::now().as_second();
    for pair in &snapshot.server.tls.certificates {
        if let Some(diagnostic) = of(pair, snapshot.sources.text(), now) {
            diagnostics.push(diagnostic);
        }
    }
    for upstream in &snapshot.upstreams {
        let Some(ca) = upstream.tls.as_ref().and_then(|tls| tls.ca.as_deref()) else { continue };
        if let Some(diagnostic) = authority(ca, &upstream.name, snapshot.sources.text()) {
            diagnostics.push(diagnostic);
        }
    }
}

/// The authorities of an upstream. A file that is not here is a warning: without it none of the endpoints can be asked.
fn authority(path: &Path, upstream: &str, text: &str) -> Option<Diagnostic> {
    let place = place(&path.to_string_lossy(), text);
    let shown = path.display();
    match read_authorities(path) {
        Ok(_) => None,
        Err(error) if path.exists() => {
            let message = format!("the authority of `{upstream}` cannot be used: {error}");
            let help = "put the certificate of the authority in place, in PEM";
            Some(at(Diagnostic::new(Code::UnusableCertificate, message).label("cannot be used"), place).help(help))
        }
        Err(_) => {
            let message = format!("the authority of `{upstream}` is not here: there is no file `{shown}`");
            let help = "put it in place before multilith serves with this file: without it no endpoint of the upstream is asked";
            Some(at(Diagnostic::new(Code::MissingAuthority, message).label("no such file"), place).help(help))
        }
    }
}

fn of(pair: &Certificate, text: &str, now: i64) -> Option<Diagnostic> {
    let found = match read(pair) {
        Ok(found) => found,
        Err(TlsError { cause: TlsCause::Missing, .. }) => return None,
        Err(error) => {
            let diagnostic = Diagnostic::new(Code::UnusableCertificate, error.to_string()).label("cannot be used");
            let help = "put a certificate and its own key in place, both in PEM";
            return Some(at(diagnostic, place(&error.path.to_string_lossy(), text)).help(help));
        }
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
    let diagnostic = Diagnostic::new(Code::CertificateExpires, message).label("renew it");
    let help =
        "put a new one in its place: a running multilith sees it by itself; or let it be ordered: `[server.tls.acme]`";
    Some(at(diagnostic, place(&pair.cert.to_string_lossy(), text)).help(help))
}

fn at(diagnostic: Diagnostic, place: Option<Span>) -> Diagnostic {
    match place {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}

/// Where the path is written, unless a variable stands in it.
fn place(path: &str, text: &str) -> Option<Span> {
    ['"', '\''].iter().find_map(|quote| {
        let written = format!("{quote}{path}{quote}");
        text.find(&written).map(|start| start..start + written.len())
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::compile::compile;

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
        assert!(said(&folder.join("elsewhere.pem"), &good_key).is_empty());
        for (cert, key, code, message) in [
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
    fn an_authority_of_an_upstream_that_is_not_here_is_said_with_its_place() {
        let folder = std::env::temp_dir().join(format!("multilith-check-ca-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let own = KeyPair::generate().unwrap();
        let authority = CertificateParams::new(vec!["legacy.example".to_owned()]).unwrap().self_signed(&own).unwrap();
        fs::write(folder.join("good.pem"), authority.pem()).unwrap();
        fs::write(folder.join("empty.pem"), "").unwrap();
        let said = |name: &str| {
            let ca = folder.join(name);
            let text = format!("[monolith]\nurl = \"https://legacy.example\"\ntls = {{ ca = {ca:?} }}\n");
            let mut compiled = compile(&text, "routes.toml", &|_| None);
            check(compiled.snapshot.as_ref().expect("a right file"), &mut compiled.diagnostics);
            let found = compiled.diagnostics.iter();
            found.map(|found| (found.code, found.span.clone().map(|span| text[span].to_owned()))).collect::<Vec<_>>()
        };
        assert_eq!(said("good.pem"), []);
        let place = |name: &str| Some(format!("{:?}", folder.join(name)));
        assert_eq!(said("elsewhere.pem"), [(Code::MissingAuthority, place("elsewhere.pem"))]);
        assert_eq!(said("empty.pem"), [(Code::UnusableCertificate, place("empty.pem"))]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
