//! The sides of a split.

use super::super::draft::{Draft, check_name};
use super::super::settings::percent;
use super::service::upstream;
use super::{Site, edits};
use crate::config::{Field, NamedEntry, Stage, Variant as Written};
use crate::diagnostic::{Code, Span};
use crate::endpoint::UpstreamId;
use crate::migration::{BUCKETS, Percent, Variant};

/// A side is kept in one byte.
const MOST: usize = 255;

/// Empty in the other stages; `None` after something was reported.
pub(super) fn compile(site: Site<'_>, stage: Stage, draft: &mut Draft<'_>) -> Option<Vec<Variant>> {
    let given = match (&site.route.variants, stage) {
        (Field::Given(given), Stage::Split) => given,
        (Field::Given(given), _) => {
            draft.say(
                Code::UnexpectedVariants,
                given.key.clone(),
                format!("`{}` is in stage `{}`, which has no variants", site.name(), stage.word()),
                "no variants here",
                "remove them, or write `stage = \"split\"`",
            );
            return None;
        }
        (Field::Absent, Stage::Split) => {
            let span = site.route.stage.span().unwrap_or_else(|| site.entry.key.clone());
            too_few(site, span, "needs variants", draft);
            return None;
        }
        (Field::Wrong, Stage::Split) => return None,
        _ => return Some(Vec::new()),
    };
    let entries = &given.value.entries;
    let complete = given.value.wrong.is_empty();
    if complete && entries.len() < 2 {
        too_few(site, given.span.clone(), "fewer than two", draft);
        return None;
    }
    if entries.len() > MOST {
        let message = format!("`{}` has {} variants", site.name(), entries.len());
        draft.say(Code::OutOfRange, given.span.clone(), message, "too many", format!("at most {MOST} are possible"));
        return None;
    }
    let variants: Vec<_> = entries.iter().filter_map(|entry| one(site, entry, draft)).collect();
    let all_weights = entries.iter().all(|entry| entry.value.weight.get().is_some());
    if complete && all_weights {
        check_sum(site, entries, &given.key, draft);
    }
    (complete && variants.len() == entries.len()).then_some(variants)
}

fn too_few(site: Site<'_>, span: Span, label: &str, draft: &mut Draft<'_>) {
    draft.say(
        Code::MissingVariants,
        span,
        format!("`{}` is a split, which needs two or more variants", site.name()),
        label,
        format!(
            "add `[routes.{}.variants]` with `blue = {{ upstream = \"monolith\", weight = \"50%\" }}` and `green = {{ upstream = \"…\", weight = \"50%\" }}`",
            site.name()
        ),
    );
}

fn one(site: Site<'_>, entry: &NamedEntry<Written>, draft: &mut Draft<'_>) -> Option<Variant> {
    check_variant_name(&entry.name, entry.key.clone(), draft);
    let headers = edits::setting(&entry.value.headers, draft);
    let named = entry.value.upstream.given()?;
    let id = if named.value == "monolith" {
        UpstreamId::MONOLITH
    } else {
        upstream(site, &named.value, named.span.clone(), draft)?.id
    };
    let weight = percent(*entry.value.weight.get()?);
    Some(Variant { name: entry.name.as_str().into(), upstream: id, weight, headers })
}

fn check_variant_name(name: &str, span: Span, draft: &mut Draft<'_>) {
    if name == "none" {
        draft.say(
            Code::ReservedName,
            span,
            "a variant cannot be called `none`",
            "stands for a refused request",
            "give it another name",
        );
        return;
    }
    check_name("variant", name, span, draft);
}

fn check_sum(site: Site<'_>, entries: &[NamedEntry<Written>], span: &Span, draft: &mut Draft<'_>) {
    let sum: u32 = entries.iter().filter_map(|entry| entry.value.weight.get()).map(|weight| u32::from(weight.0)).sum();
    let whole = u32::from(BUCKETS);
    if sum == whole {
        return;
    }
    let shown = format!("{}.{:02}", sum / 100, sum % 100);
    let shown = shown.trim_end_matches('0').trim_end_matches('.');
    // The last one takes the difference, where it can.
    let help = entries.last().and_then(|last| {
        let weight = u32::from(last.value.weight.get()?.0);
        let right = u16::try_from((weight + whole).checked_sub(sum)?).ok()?;
        Some(format!("for example `weight = \"{}\"` for `{}`", Percent::from_hundredths(right)?, last.name))
    });
    draft.say(
        Code::VariantWeights,
        span.clone(),
        format!("the weights of the variants of `{}` sum to {shown}%, not to 100%", site.name()),
        format!("sum to {shown}%"),
        help.unwrap_or_else(|| "make them sum to 100%".to_owned()),
    );
}
