//! A refusal as a page: it tells a person in words what a program reads as JSON, and where to go from there.

use http::Method;
use maud::html;

use super::act;
use super::form::Form;
use super::page::{Layout, said};
use super::visitor::How;
use crate::admin::{PageRequest, Reply};
use crate::message::percent_encoded;

/// The same refusal, drawn where a page was asked for.
pub fn page(frame: Layout<'_>, request: &PageRequest, reply: Reply) -> Reply {
    let wants_page = request.field("accept").is_some_and(|accept| accept.contains("text/html"));
    let Some(why) = reply.detail().filter(|_| wants_page) else { return reply };
    let form = if request.method == Method::POST { Form::read(&request.body) } else { Form::default() };
    let drawn = if frame.visitor.how == How::Nobody {
        let next = form
            .some("route")
            .map(|route| format!("?next={}", percent_encoded(format!("route/{}", percent_encoded(route)))));
        let main = html! {
            div.narrow.stack data-ask {
                (said("b", "Not done: nobody is signed in here any more."))
                section.card aria-labelledby="ask" {
                    div.h { h1 #ask { "Nothing was changed" } }
                    div.pad.ask {
                        p { "A session ends after half an hour without you, after twelve hours, when the proxy restarts, and when its token changes. Sign in, look at it again, and press then." }
                        div.acts { a.btn.pri href={ (frame.root) "console/login" (next.unwrap_or_default()) } { "Sign in" } }
                    }
                }
            }
        };
        frame.page("Not done", &main)
    } else {
        let frame = Layout { here: Some(""), elsewhere: true, ..frame };
        frame.page("Not done", &act::not_done(&frame, &why, form.some("route")))
    };
    reply.drawn(drawn)
}
