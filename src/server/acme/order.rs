//! One order: the account, the proof, the certificate.

use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use super::files::{KeepError, KeptAccount};
use super::http::Http;
use super::{Acme, serial};
use crate::compile;
use crate::fleet::{FleetTurn, NotShared, SharedWhile};
use crate::listener::tls::{ChallengeGuard, Pair, TlsError, trusting};
use crate::live::Expected;

/// Until the authority has seen the proof, and until it has signed.
const POLLING: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90));

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    #[error("another process orders at the moment")]
    Busy,
    #[error("{0}")]
    Fleet(#[from] NotShared),
    #[error("{0}")]
    Authority(#[from] Error),
    #[error("the authority did not accept the proof: {0}")]
    NotProved(String),
    #[error("the authority offers no challenge that can be answered here")]
    NoChallenge,
    #[error("the state directory: {0}")]
    Files(#[from] std::io::Error),
    #[error("{0}")]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Keep(#[from] KeepError),
    #[error("no proof could be made: {0}")]
    Proof(#[from] rcgen::Error),
    #[error("it took longer than {} s", .0.as_secs())]
    TooSlow(Duration),
}

impl OrderError {
    fn is(&self, kind: &str) -> bool {
        let Self::Authority(Error::Api(problem)) = self else { return false };
        problem.r#type.as_deref().and_then(|said| said.strip_prefix("urn:ietf:params:acme:error:")) == Some(kind)
    }
}

/// A proof can be had as long as it is held.
#[expect(dead_code, reason = "held until they are dropped")]
enum Shown {
    Http(Expected, Option<SharedWhile>),
    Tls(ChallengeGuard, Option<SharedWhile>),
}

impl Acme {
    /// Orders a certificate for one host. `attempt` decides which challenge is tried first.
    pub(super) async fn order(&self, host: &str, replaced: Option<&Pair>, attempt: u32) -> Result<Pair, OrderError> {
        let Some(_lock) = self.files.lock()? else { return Err(OrderError::Busy) };
        let turn = match &self.share {
            None => None,
            Some(share) => {
                let turn = share.turn().await?.ok_or(OrderError::Busy)?;
                if let Some(text) = share.certificate(host).await? {
                    self.take_over(host, &text);
                }
                // Another replica had its turn meanwhile.
                if self.files.certificate(host).as_ref().map(serial) != replaced.map(serial) {
                    return Err(OrderError::Busy);
                }
                Some(turn)
            }
        };
        let ordered = self.order_alone(host, replaced, attempt, turn.as_ref()).await;
        if ordered.as_ref().is_err_and(|error| error.is("accountDoesNotExist")) {
            self.files.forget_account()?;
            *self.account.lock().await = None;
            if let (Some(share), Some(turn)) = (&self.share, &turn) {
                share.forget_account(turn).await?;
            }
        }
        let pair = ordered?;
        if let (Some(share), Some(turn), Some(text)) = (&self.share, &turn, self.files.certificate_text(host))
            && let Err(error) = share.keep_certificate(turn, host, &text).await
        {
            // It is in force here, and given to the others later.
            share.say(&error);
        }
        Ok(pair)
    }

    async fn order_alone(
        &self,
        host: &str,
        replaced: Option<&Pair>,
        attempt: u32,
        turn: Option<&FleetTurn>,
    ) -> Result<Pair, OrderError> {
        let account = self.account(turn).await?;
        let mut order = new_order(&account, host, replaced).await?;
        let shown = match self.prove_all(host, &mut order, attempt, turn).await {
            // A fast authority says that it does not accept the proof where others say that they will look.
            Err(error @ OrderError::Authority(Error::Api(_))) => {
                return Err(why_not(&mut order).await.map_or(error, OrderError::NotProved));
            }
            shown => shown?,
        };
        let ready = order.poll_ready(&POLLING).await;
        if !matches!(ready, Ok(OrderStatus::Ready)) {
            return Err(match (why_not(&mut order).await, ready) {
                (Some(why), _) => OrderError::NotProved(why),
                (None, Err(error)) => error.into(),
                (None, Ok(status)) => OrderError::NotProved(format!("the order is {status:?}")),
            });
        }
        drop(shown);
        let key = order.finalize().await?;
        let chain = order.poll_certificate(&POLLING).await?;
        Ok(self.files.keep_certificate(host, &key, &chain)?)
    }

    /// The account at the authority: the one that is kept, or a new one.
    /// In a fleet all replicas have one, and only the replica whose turn it is makes or changes it.
    pub(super) async fn account(&self, turn: Option<&FleetTurn>) -> Result<Account, OrderError> {
        let mut known = self.account.lock().await;
        if let Some(account) = &*known {
            return Ok(account.clone());
        }
        let compile::Acme { email, directory, ca, .. } = &self.settings;
        let trust = ca.as_deref().map(trusting).transpose()?.map(Arc::new);
        let builder = Account::builder_with_http(Box::new(Http { trust }));
        let contact = email.iter().map(|email| format!("mailto:{email}")).collect::<Vec<_>>();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let shared = match &self.share {
            Some(share) => share.account().await?,
            None => None,
        };
        let is_shared = shared.is_some();
        let kept = match shared {
            Some(account) => Some(account),
            None => self.files.account()?,
        };
        let may_change = self.share.is_none() || turn.is_some();
        let account = if let Some(KeptAccount { email: told, credentials }) = kept {
            let again = serde_json::to_value(&credentials).map_err(Error::from)?;
            let account = builder.from_credentials(credentials).await?;
            let moved = told != *email;
            let is_untold = moved || (self.share.is_some() && !is_shared);
            if is_untold && !may_change {
                // The authority hears of the other address, and the replicas of the account, with the next order.
                return Ok(account);
            }
            if moved {
                account.update_contacts(&contact).await?;
            }
            if is_untold {
                let credentials = serde_json::from_value(again).map_err(Error::from)?;
                self.keep_account(&KeptAccount { email: email.clone(), credentials }, turn).await?;
            }
            account
        } else if may_change {
            let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
            let (account, credentials) = builder.create(&new, directory.to_string(), None).await?;
            self.keep_account(&KeptAccount { email: email.clone(), credentials }, turn).await?;
            tracing::info!(%directory, account = account.id(), "an account at the authority was made");
            account
        } else {
            return Err(OrderError::Busy);
        };
        *known = Some(account.clone());
        Ok(account)
    }

    async fn keep_account(&self, account: &KeptAccount, turn: Option<&FleetTurn>) -> Result<(), OrderError> {
        self.files.keep_account(account)?;
        if let (Some(share), Some(turn)) = (&self.share, turn) {
            share.keep_account(turn, account).await?;
        }
        Ok(())
    }

    /// The proofs that the order asks for.
    async fn prove_all(
        &self,
        host: &str,
        order: &mut Order,
        attempt: u32,
        turn: Option<&FleetTurn>,
    ) -> Result<Vec<Shown>, OrderError> {
        let mut shown = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => shown.push(self.prove(host, authorization, attempt, turn).await?),
                AuthorizationStatus::Valid => {}
                other => return Err(OrderError::NotProved(format!("{other:?}"))),
            }
        }
        Ok(shown)
    }

    /// Shows the proof, and tells the authority to look.
    async fn prove(
        &self,
        host: &str,
        mut authorization: AuthorizationHandle<'_>,
        attempt: u32,
        turn: Option<&FleetTurn>,
    ) -> Result<Shown, OrderError> {
        let offered = |kind: &ChallengeType| authorization.challenges.iter().any(|challenge| challenge.r#type == *kind);
        let can = |kind: &ChallengeType| match kind {
            ChallengeType::Http01 => self.settings.http,
            _ => self.settings.tls_alpn,
        };
        let mut kinds = [ChallengeType::Http01, ChallengeType::TlsAlpn01];
        if attempt % 2 == 1 {
            // One port may be closed where the other is not.
            kinds.reverse();
        }
        let kind = kinds.into_iter().find(|kind| can(kind) && offered(kind)).ok_or(OrderError::NoChallenge)?;
        let mut challenge = authorization.challenge(kind.clone()).ok_or(OrderError::NoChallenge)?;
        let answer = challenge.key_authorization();
        let token = (kind == ChallengeType::Http01).then(|| challenge.token.clone());
        let elsewhere = match (&self.share, turn) {
            (Some(share), Some(turn)) => Some(share.show(turn, host, token.as_deref(), answer.as_str()).await?),
            _ => None,
        };
        let shown = match &token {
            Some(token) => Shown::Http(self.live.challenges().expect(token, answer.as_str()), elsewhere),
            None => Shown::Tls(self.certificates.challenge(host, proof(host, answer.digest().as_ref())?), elsewhere),
        };
        tracing::debug!(host, ?kind, "the authority may look");
        challenge.set_ready().await?;
        Ok(shown)
    }
}

async fn new_order(account: &Account, host: &str, replaced: Option<&Pair>) -> Result<Order, Error> {
    let hosts = [Identifier::Dns(host.to_owned())];
    if let Some(replaced) = replaced.and_then(identifier) {
        match account.new_order(&NewOrder::new(&hosts).replaces(replaced)).await {
            Ok(order) => return Ok(order),
            // It knows no renewal information, or not this certificate: then it is an order like the first.
            Err(error) => tracing::debug!(host, %error, "not ordered as a replacement"),
        }
    }
    account.new_order(&NewOrder::new(&hosts)).await
}

/// The authority's reason for a proof that it did not accept.
async fn why_not(order: &mut Order) -> Option<String> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        let state = authorization.refresh().await.ok()?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(problem.to_string());
        }
    }
    None
}

/// The certificate in which an authority finds its proof (RFC 8737, 3).
pub(super) fn proof(host: &str, digest: &[u8]) -> Result<Arc<CertifiedKey>, rcgen::Error> {
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.der().clone();
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key of our own");
    let key = ring::sign::any_supported_type(&key).expect("a key that ring made");
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key)))
}

/// How the authority names a certificate of its own (RFC 9773, 4.1).
pub(super) fn identifier(pair: &Pair) -> Option<CertificateIdentifier<'static>> {
    let (_, certificate) = X509Certificate::from_der(pair.key.cert.first()?).ok()?;
    let authority = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(found) => found.key_identifier.as_ref(),
        _ => None,
    })?;
    let (authority, serial) = (authority.0.to_vec(), certificate.raw_serial().to_vec());
    Some(CertificateIdentifier::new(authority.into(), serial.into()).into_owned())
}
