//! Which servers are trusted, by certificate, name, time and key.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};

use super::*;

const NOW: u64 = 1_800_000_000;

/// A certificate that its own key signed, as `openssl req -x509` makes it.
fn own(name: &str, is_ca: bool) -> CertificateDer<'static> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> CertificateDer<'static> {
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.signed_by(&KeyPair::generate().unwrap(), authority).unwrap().der().clone()
}

fn pin(certificate: &CertificateDer<'_>) -> KeyPin {
    let key = ParsedCertificate::try_from(certificate).unwrap().subject_public_key_info();
    KeyPin(digest(&SHA256, key.as_ref()).as_ref().try_into().unwrap())
}

fn verify(trust: Trust, shown: &CertificateDer<'_>, name: &str) -> Result<(), Error> {
    verify_at(trust, shown, name, NOW)
}

fn verify_at(trust: Trust, shown: &CertificateDer<'_>, name: &str, now: u64) -> Result<(), Error> {
    let verifier = Verifier::new(trust, Arc::new(rustls::crypto::ring::default_provider())).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now));
    verifier.verify_server_cert(shown, &[], &name, &[], now).map(drop)
}

fn by(authority: &CertificateDer<'static>, verify: Verify) -> Trust {
    Trust { authorities: Some(vec![authority.clone()]), verify, pins: Vec::new() }
}

#[test]
fn a_certificate_that_is_itself_the_ca_is_believed_for_its_names() {
    for is_ca in [true, false] {
        let own = own("app.internal", is_ca);
        assert_eq!(verify(by(&own, Verify::Full), &own, "app.internal"), Ok(()), "CA: {is_ca}");
        let other = verify(by(&own, Verify::Full), &own, "other.internal").unwrap_err().to_string();
        assert!(other.contains("not valid for name"), "{other}");
        assert_eq!(verify(by(&own, Verify::Chain), &own, "other.internal"), Ok(()), "the name is not looked at");
        let forged = self::own("app.internal", is_ca);
        assert!(verify(by(&own, Verify::Full), &forged, "app.internal").is_err(), "the same name, another key");
    }
    let authority = authority();
    let leaf = issued("app.internal", &authority);
    assert_eq!(verify(by(&leaf, Verify::Full), &leaf, "app.internal"), Ok(()), "whoever signed it");
}

#[test]
fn the_named_certificate_is_believed_only_while_it_is_valid() {
    let mut params = CertificateParams::new(vec!["app.internal".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2027, 1, 1));
    let own = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    let at = |now| verify_at(by(&own, Verify::Full), &own, "app.internal", now);
    let (before, within, after) = (1_767_225_599, 1_780_000_000, 1_798_761_601);
    assert!(at(before).unwrap_err().to_string().contains("NotValidYet"));
    assert_eq!(at(within), Ok(()));
    assert!(at(after).unwrap_err().to_string().contains("Expired"));
}

#[test]
fn verify_says_what_is_looked_at() {
    let authority = authority();
    let (leaf, stranger) = (issued("app.internal", &authority), own("app.internal", false));
    let root = authority.der().clone();
    for (how, right, other_name, other_authority) in
        [(Verify::Full, true, false, false), (Verify::Chain, true, true, false), (Verify::Off, true, true, true)]
    {
        assert_eq!(verify(by(&root, how), &leaf, "app.internal").is_ok(), right, "{how:?}");
        assert_eq!(verify(by(&root, how), &leaf, "other.internal").is_ok(), other_name, "{how:?}");
        assert_eq!(verify(by(&root, how), &stranger, "app.internal").is_ok(), other_authority, "{how:?}");
    }
}

#[test]
fn a_pinned_key_is_asked_for_beside_the_rest_and_said_when_it_is_another() {
    let authority = authority();
    let (leaf, other) = (issued("app.internal", &authority), issued("app.internal", &authority));
    let pinned = |pins: &[KeyPin], verify| Trust {
        authorities: Some(vec![authority.der().clone()]),
        verify,
        pins: pins.to_vec(),
    };
    assert_eq!(verify(pinned(&[pin(&other), pin(&leaf)], Verify::Full), &leaf, "app.internal"), Ok(()));
    let said = verify(pinned(&[pin(&other)], Verify::Full), &leaf, "app.internal").unwrap_err().to_string();
    assert!(said.contains(&format!("sha256/{}", STANDARD.encode(pin(&leaf).0))), "{said}");
    assert!(verify(pinned(&[pin(&leaf)], Verify::Full), &leaf, "other.internal").is_err(), "the name still counts");
    assert_eq!(verify(pinned(&[pin(&leaf)], Verify::Off), &leaf, "other.internal"), Ok(()), "the key alone");
    assert!(verify(pinned(&[pin(&leaf)], Verify::Off), &other, "app.internal").is_err());
    let authoritys = pin(authority.der());
    assert!(verify(pinned(&[authoritys], Verify::Full), &leaf, "app.internal").is_err(), "not the authority's key");
}
