//! A kept request, asked once more at both sides by hand.

use std::sync::Arc;

use super::Translate;
use super::ask::{ClientError, Response};
use super::capture::Seen;
use super::chunks::Chunks;
use super::comparer::{Comparison, with_request};
use super::copies::Copies;
use super::deliver::{Asked, ShadowTraffic, Target};
use crate::compare::{AgainReport, KeptRequest, Outcome, SideReport, compare};
use crate::endpoint::UpstreamId;
use crate::message::RequestHead;
use crate::upstream::Pool;

/// A request as it would be copied, and what was kept of the one that it is asked for.
pub struct Again {
    pub copies: Arc<Copies>,
    pub target: Target,
    /// Cleaned.
    pub head: RequestHead,
    pub translate: Box<dyn Translate>,
    pub kept: KeptRequest,
    pub without_credentials: bool,
}

/// Why a side gave no answer to compare.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("the client's credentials were not exchanged")]
    Credentials,
    #[error("it takes no more requests at once")]
    Full,
    #[error("too much is held for copies at the moment")]
    Memory,
    #[error("{0}")]
    Client(ClientError),
}

impl ShadowTraffic {
    /// A request that is still kept, and the fields with which it can be asked again.
    pub fn kept_request(&self, route: &str, number: u64) -> Option<(KeptRequest, Vec<(String, String)>)> {
        self.archive().find(route)?.kept_request(number)
    }

    /// Asks both sides, and compares what they answer. It is no evidence. `None`: the route compares nothing, or the program
    /// ends.
    pub async fn again(self: &Arc<Self>, again: Again) -> Option<AgainReport> {
        let shadow = Arc::clone(self);
        // Connections of copies are kept by the threads that send copies.
        self.runtime().spawn(async move { shadow.asked_again(again).await }).await.ok().flatten()
    }

    async fn asked_again(&self, again: Again) -> Option<AgainReport> {
        let Again { copies, target, head, translate, kept, without_credentials } = again;
        let comparing = copies.comparison.clone()?;
        let identity = match &target.inquiry {
            None => None,
            Some(inquiry) => inquiry.identify(&head).await.ok(),
        };
        let unknown = target.inquiry.is_some() && identity.is_none();
        let (_, held) = Chunks::new(self.budget().hold()).into_parts();
        let asked = Asked { head, body: Vec::new(), held, target, translate, identity };
        let (monolith, service) = (&asked.target.monolith, &asked.target.service);
        let (control, candidate) = tokio::join!(self.side(&asked, &copies, monolith, UpstreamId::MONOLITH), async {
            // The service would answer for another client than the monolith does.
            if unknown {
                Err(ReplayError::Credentials)
            } else {
                self.side(&asked, &copies, &service.1, service.0).await
            }
        },);
        let side = |answered: &Result<Seen, ReplayError>| match answered {
            Ok(seen) => {
                let code = with_request(&asked, |request| seen.response.result(request)).number();
                SideReport::answered(code, seen.took.as_secs_f64())
            }
            Err(why) => SideReport::silent(why.to_string()),
        };
        let report = AgainReport {
            route: copies.route.to_string(),
            number: kept.number,
            method: kept.method,
            target: kept.target,
            without_credentials,
            monolith: side(&control),
            service: side(&candidate),
            differs: None,
            incomparable: None,
            differences: Vec::new(),
        };
        let (Ok(control), Ok(candidate)) = (control, candidate) else { return Some(report) };
        let mut both = Comparison { comparing, copies, asked, control, candidate, asked_on: false, unfinished: false };
        if both.comparing.evidence.rules().follow().is_some() {
            both = both.followed(self.client(), self.budget()).await;
        }
        let evidence = &both.comparing.evidence;
        let outcome = if both.unfinished {
            Outcome::unfinished()
        } else {
            with_request(&both.asked, |request| {
                compare(request, &both.control.response, &both.candidate.response, evidence.rules())
            })
        };
        Some(report.with(outcome, |difference| evidence.is_noise(difference)))
    }

    async fn side(
        &self,
        asked: &Asked,
        copies: &Copies,
        pool: &Arc<Pool>,
        upstream: UpstreamId,
    ) -> Result<Seen, ReplayError> {
        let Ok(permit) = pool.permit_for_copy() else {
            return Err(ReplayError::Full);
        };
        let limit = copies.comparison.as_ref().map_or(0, |comparing| comparing.evidence.rules().body_limit());
        let keep = Some((limit, self.budget().hold()));
        let answered = asked.ask_of(pool, upstream, copies, self.client(), keep).await;
        drop(permit);
        match answered {
            Ok(Response { seen: Some(seen), .. }) => Ok(seen),
            Ok(_) => Err(ReplayError::Memory),
            Err(why) => Err(ReplayError::Client(why)),
        }
    }
}
