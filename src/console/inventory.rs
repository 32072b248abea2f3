//! The inventory: endpoints learned from traffic, and what to take next.

use maud::{Markup, html};

use super::page::Layout;
use super::shown::count;
use crate::admin::{Window, route_row};

/// Until endpoints are learned from traffic, what is known without them is said, and nothing else.
pub fn inventory(frame: &Layout<'_>) -> Markup {
    let (parts, window) = (frame.parts, Window::default());
    let edition = parts.in_force.load();
    let unmatched = route_row(parts, &edition, &edition.unmatched, window);
    let (lately, ever) = (unmatched.requests.values().sum::<u64>(), unmatched.totals.requests.values().sum::<u64>());
    html! {
        div.head #head data-live {
            div { h1 { "What the monolith answers" } p.dim { "Requests that no route takes go to the monolith, unchanged." } }
            span.grow {}
            div.kpis {
                div { div.big { (count(lately)) } div.lab { "without a route, last five minutes" } }
                div { div.big { (count(ever)) } div.lab { "since the start" } }
            }
        }
        section.card aria-labelledby="eps" {
            div.h { h2 #eps { "Endpoints" } }
            div.pad.stack {
                p { "This proxy does not learn its endpoints from traffic yet. An access log of the monolith has them already:" }
                pre tabindex="0" { "multilith inventory --from-log access.log\nmultilith inventory --from-log access.log --suggest" }
                p.dim { "The first lists every endpoint with its volume, errors and share; the second prints routes to paste, in stage " code { "monolith" } ", which change nothing." }
                p.dim { "A framework prints its own list: " code { "multilith import django" } ", " code { "rails" } ", " code { "laravel" } ", " code { "express" } ", " code { "spring" } ", " code { "flask" } ", " code { "openapi" } "." }
            }
        }
    }
}
