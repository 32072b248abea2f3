//! The noise test: every kind of body with the noise that real answers have, with one fault in 1 % of them, and without.
//!
//! `MULTILITH_SEEDS`, when this is compiled, says how many seeds; 100 take a quarter of an hour in a release build.
#![allow(clippy::format_collect, clippy::format_push_string, clippy::type_complexity, reason = "bodies for a test")]

use std::time::Duration;

use http::{HeaderMap, Method};

use super::verdict::tests::response;
use super::{ComparedRequest, ComparedResponse, Evidence, Learned, Report, Rules, Took, compare};

const REQUESTS: u64 = 5000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Price,
    Link,
    Missing,
    Attribute,
    Status,
}

/// The state that one answer is made from.
struct Noise<'r> {
    random: &'r mut fastrand::Rng,
    counter: u64,
    fault: Fault,
}

impl Noise<'_> {
    fn nonce(&mut self) -> String {
        format!("{:010x}", self.random.u64(..1 << 40))
    }

    fn token(&mut self) -> String {
        std::iter::repeat_with(|| self.random.alphanumeric()).take(32).collect()
    }

    fn clock(&mut self) -> String {
        let (h, m, s) = (self.random.u8(..24), self.random.u8(..60), self.random.u8(..60));
        format!("2026-11-{:02}T{h:02}:{m:02}:{s:02}Z", self.random.u8(1..29))
    }

    fn price(&self) -> &'static str {
        if self.fault == Fault::Price { "99.90" } else { "9.90" }
    }

    fn link(&self) -> &'static str {
        if self.fault == Fault::Link { "/products/wrong" } else { "/products/blue-shirt" }
    }

    fn is_missing(&self) -> bool {
        self.fault == Fault::Missing
    }

    fn attribute(&self) -> &'static str {
        if self.fault == Fault::Attribute { "lazy" } else { "eager" }
    }

    /// A block of advertisement in every third answer.
    fn advert(&mut self) -> bool {
        self.random.u8(..3) == 0
    }

    /// The numbers of five elements in an order of their own.
    fn order(&mut self) -> [u8; 5] {
        let mut order = [1, 2, 3, 4, 5];
        self.random.shuffle(&mut order);
        order
    }
}

fn page(n: &mut Noise<'_>) -> Vec<u8> {
    let rows: String = (1..=6)
        .filter(|row| !(n.is_missing() && *row == 4))
        .map(|row| {
            format!("<tr class=\"row{}\"><th><a href=\"/admin/{row}/\">Item {row}</a><td>Text of {row}</tr>", row % 2)
        })
        .collect();
    let (nonce, clock, counter, price, link, attribute) =
        (n.nonce(), n.clock(), n.counter, n.price(), n.link(), n.attribute());
    let token = n.token();
    let advert = if n.advert() { "<aside class=\"ad\">Buy now</aside>" } else { "" };
    format!(
        "<!doctype html><html><head><title>Shop</title><link rel=stylesheet href=\"/s.css?ver={nonce}\">\
         <script nonce=\"{nonce}\">var t = '{clock}', n = {counter};</script></head><body class=\"home page\">\
         <!-- built in {counter} ms --><main><article class=\"product\"><h1>Blue shirt</h1>\
         <p class=\"price\">{price} EUR</p><p class=\"seen\">Seen {counter} times, last at {clock}, by nobody</p>\
         <a class=\"more\" href=\"{link}\">more</a><img src=\"/i.png\" loading=\"{attribute}\"></article>{advert}\
         <table id=\"result_list\">{rows}</table>\
         <form><input type=hidden name=csrfmiddlewaretoken value=\"{token}\"><input name=q></form></main></body></html>"
    )
    .into_bytes()
}

/// A list of the Django administration: a token in each form, the time in a script, messages that come and go.
fn admin(n: &mut Noise<'_>) -> Vec<u8> {
    let (token, clock, counter, price, link) = (n.token(), n.clock(), n.counter, n.price(), n.link());
    let message = if n.advert() { "<ul class=\"messagelist\"><li class=\"success\">Saved.</li></ul>" } else { "" };
    let attribute = if n.fault == Fault::Attribute { "post" } else { "get" };
    let rows: String = (1..=8)
        .filter(|row| !(n.is_missing() && *row == 5))
        .map(|row| {
            let price = if row == 3 { price } else { "5.00" };
            format!(
                "<tr><td class=\"action-checkbox\"><input type=\"checkbox\" name=\"_selected_action\" value=\"{row}\" \
                 class=\"action-select\"></td><th class=\"field-name\"><a href=\"/admin/shop/item/{row}/change/\">Item {row}</a>\
                 </th><td class=\"field-price nowrap\">{price}</td></tr>"
            )
        })
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en-us\" dir=\"ltr\">\n<head>\n<title>Select item to change | Django site admin</title>\n\
         <script src=\"/static/admin/js/core.js\"></script>\n</head>\n<body class=\"app-shop model-item change-list\" \
         data-admin-utc-offset=\"0\">\n<div id=\"container\"><div id=\"header\"><div id=\"user-tools\">Welcome, <strong>ann\
         </strong>. Last login {clock}<form id=\"logout-form\" method=\"post\" action=\"/admin/logout/\"><input type=\"hidden\" \
         name=\"csrfmiddlewaretoken\" value=\"{token}\"><button type=\"submit\">Log out</button></form></div></div>{message}\
         <div id=\"content\"><ul class=\"object-tools\"><li><a href=\"{link}\" class=\"addlink\">Add item</a></li></ul>\
         <form id=\"changelist-search\" method=\"{attribute}\"><input type=\"text\" name=\"q\" value=\"\"></form>\
         <table id=\"result_list\"><thead><tr><th>Item</th><th>Price</th></tr></thead><tbody>{rows}</tbody></table>\
         <p class=\"paginator\">8 items ({counter} total)</p></div></div></body></html>"
    )
    .into_bytes()
}

/// A post of a content management system: settings in a script, related posts in any order, advertisement.
fn blog(n: &mut Noise<'_>) -> Vec<u8> {
    let (nonce, clock, counter, price) = (n.nonce(), n.clock(), n.counter, n.price());
    let related: String = n
        .order()
        .into_iter()
        .filter(|post| !(n.is_missing() && *post == 4))
        .map(|post| {
            let link = if post == 2 { n.link().to_owned() } else { format!("/post/{post}") };
            format!("<li class=\"post-{post}\"><a href=\"{link}\">Related post {post}</a></li>\n")
        })
        .collect();
    let (attribute, token) = (n.attribute(), n.token());
    let advert = |there: bool| if there { "<div class=\"ad-slot\"><a href=\"/out\">Buy now</a></div>" } else { "" };
    let (above, below) = (advert(n.advert()), advert(n.advert()));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head>\n<meta charset=\"UTF-8\">\n<title>Hello &#8211; A blog</title>\n\
         <link rel='stylesheet' href='/style.css?ver={nonce}'>\n\
         <script>var wpApiSettings = {{\"root\":\"/wp-json/\",\"nonce\":\"{nonce}\"}};</script>\n\
         <script type=\"application/ld+json\">{{\"@type\":\"Article\",\"dateModified\":\"{clock}\",\"price\":\"{price}\"}}</script>\n\
         </head>\n<body class=\"post-template single single-post postid-12\">\n{above}<main id=\"main\"><article id=\"post-12\" \
         class=\"post type-post hentry\"><h1 class=\"entry-title\">Hello</h1><div class=\"entry-content\"><p>Text &amp; more\
         <p><img src=\"/a.jpg\" loading=\"{attribute}\" alt=\"\"></div><p class=\"views\">{counter} views, last {clock}</p>\
         </article>\n<ul class=\"related\">\n{related}</ul></main>\n{below}<form action=\"/wp-comments-post.php\" method=\"post\">\
         <input type=\"hidden\" name=\"_wpnonce\" value=\"{token}\"><textarea name=\"comment\"></textarea></form>\n\
         <!-- page generated in {counter} ms --></body>\n</html>"
    )
    .into_bytes()
}

/// The same content from a REST interface: pages inside strings, elements in any order.
fn posts(n: &mut Noise<'_>) -> Vec<u8> {
    let missing = n.is_missing();
    let posts: Vec<_> = n
        .order()
        .into_iter()
        .filter(|post| !(missing && *post == 4))
        .map(|post| {
            let (price, link) = if post == 2 { (n.price(), n.link()) } else { ("5.00", "/products/other") };
            let (nonce, counter, attribute) = (n.nonce(), n.counter, n.attribute());
            format!(
                "{{\"id\":{post},\"slug\":\"post-{post}\",\"views\":{counter},\"content\":{{\"rendered\":\"<p class=\\\"price\\\">\
                 {price} EUR</p>\\n<form data-nonce=\\\"{nonce}\\\"><a href=\\\"{link}\\\">more<\\/a>\
                 <img loading=\\\"{attribute}\\\"></form>\"}}}}"
            )
        })
        .collect();
    format!("[{}]", posts.join(",")).into_bytes()
}

/// A shop whose every row has a token of its own, in any order.
fn rows(n: &mut Noise<'_>) -> Vec<u8> {
    let missing = n.is_missing();
    let rows: String = n
        .order()
        .into_iter()
        .filter(|item| !(missing && *item == 3))
        .map(|item| {
            let (price, link) = if item == 2 { (n.price(), n.link()) } else { ("5.00", "/products/other") };
            let (token, nonce, attribute) = (n.token(), n.nonce(), n.attribute());
            format!(
                "<li><h3>Item number {item}</h3><span class=\"price\">{price}</span><a href=\"{link}?ref={nonce}\">more</a>\
                 <form method=\"post\"><input type=\"hidden\" name=\"csrf\" value=\"{token}\"></form>\
                 <img loading=\"{attribute}\"></li>"
            )
        })
        .collect();
    format!("<!doctype html><html><body><h1>Shop</h1><ul id=\"shop\">{rows}</ul></body></html>").into_bytes()
}

fn feed(n: &mut Noise<'_>) -> Vec<u8> {
    let items: String = (1..=4)
        .filter(|item| !(n.is_missing() && *item == 2))
        .map(|item| format!("<item><title>Post {item}</title><guid isPermaLink=\"false\">p{item}</guid><dc:creator>ann</dc:creator></item>"))
        .collect();
    let (clock, link, price, attribute) = (n.clock(), n.link(), n.price(), n.attribute());
    let advert = if n.advert() { "<banner url=\"/out\">Buy now</banner>" } else { "" };
    format!(
        "<?xml version=\"1.0\"?>\n<rss version=\"2.0\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><channel>\
         <title>Shop</title><lastBuildDate>{clock}</lastBuildDate><link>{link}</link>\n\
         <price currency=\"{attribute}\">{price}</price>{advert}{items}</channel></rss>"
    )
    .into_bytes()
}

fn list(n: &mut Noise<'_>) -> Vec<u8> {
    let items: Vec<_> = n
        .order()
        .into_iter()
        .filter(|id| !(n.is_missing() && *id == 3))
        .map(|id| {
            let price = if id == 2 { n.price() } else { "5.00" };
            format!("{{\"id\":{id},\"price\":{price},\"url\":\"{}?{id}\",\"load\":\"{}\"}}", n.link(), n.attribute())
        })
        .collect();
    let (clock, nonce, counter) = (n.clock(), n.nonce(), n.counter);
    let advert = if n.advert() { ",\"banner\":{\"text\":\"Buy\"}" } else { "" };
    let html = format!("<p>Seen {counter} times</p><p class=\\\"p\\\">Price 5 EUR</p>");
    format!(
        "{{\"at\":\"{clock}\",\"request\":\"{nonce}\",\"served\":{counter},\"items\":[{}],\"html\":\"{html}\"{advert}}}",
        items.join(",")
    )
    .into_bytes()
}

fn sheet(n: &mut Noise<'_>) -> Vec<u8> {
    let mut out = String::from("id,price,link,load,exported\n");
    let missing = n.is_missing();
    for id in n.order().into_iter().filter(|id| !(missing && *id == 3)) {
        let (price, clock) = (if id == 1 { n.price() } else { "3.00" }, n.clock());
        out.push_str(&format!("{id},{price},{},{},{clock}\n", n.link(), n.attribute()));
    }
    out.into_bytes()
}

fn call(n: &mut Noise<'_>) -> Vec<u8> {
    let mut message = Vec::new();
    let mut texts = vec![(1, n.price().to_owned()), (2, n.link().to_owned()), (3, n.nonce()), (4, n.clock())];
    let missing = n.is_missing();
    let elements = n.order().into_iter().filter(|id| !(missing && *id == 2));
    texts.extend(elements.map(|id| (5, format!("element {id}"))));
    texts.push((7, n.attribute().to_owned()));
    if n.advert() {
        texts.push((8, "Buy now".to_owned()));
    }
    for (field, text) in texts {
        message.extend([field << 3 | 2_u8, u8::try_from(text.len()).expect("short")]);
        message.extend(text.as_bytes());
    }
    let counter = u8::try_from(n.counter % 100).expect("below 100");
    message.extend([6 << 3, counter]);
    let mut body = vec![0, 0, 0, 0, u8::try_from(message.len()).expect("short")];
    body.extend(message);
    body
}

fn text(n: &mut Noise<'_>) -> Vec<u8> {
    let stock = if n.is_missing() { "" } else { "in stock: yes\n" };
    let (clock, nonce, counter) = (n.clock(), n.nonce(), n.counter);
    format!("generated {clock} by {nonce}\nserved {counter}\nprice {} EUR\nlink {}\n{stock}", n.price(), n.link())
        .into_bytes()
}

type Make = fn(&mut Noise<'_>) -> Vec<u8>;

/// Each kind with its faults and the fields that each of them is.
const KINDS: [(&str, &str, Make, &[(Fault, &[&str])]); 10] = [
    (
        "rows",
        "text/html; charset=utf-8",
        rows,
        &[
            (Fault::Price, &["#shop > li[*] > span.price"]),
            (Fault::Link, &["#shop > li[*] > a@href"]),
            (Fault::Attribute, &["#shop > li[*] > img@loading"]),
            (Fault::Missing, &["#shop > li[*]"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "page",
        "text/html; charset=utf-8",
        page,
        &[
            (Fault::Price, &["main > article.product > p.price"]),
            (Fault::Link, &["main > article.product > a.more@href"]),
            (Fault::Attribute, &["main > article.product > img@loading"]),
            (Fault::Missing, &["#result_list > tr.row0[*]"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "admin",
        "text/html; charset=utf-8",
        admin,
        &[
            (Fault::Price, &["#result_list > tr[*] > td.field-price"]),
            (Fault::Link, &["#content > ul.object-tools > li > a.addlink@href"]),
            (Fault::Attribute, &["#changelist-search@method"]),
            (Fault::Missing, &["#result_list > tr[*]"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "blog",
        "text/html; charset=UTF-8",
        blog,
        &[
            (Fault::Price, &["head > script[*] › price"]),
            (Fault::Link, &["#main > ul.related > li.post-2 > a@href"]),
            (Fault::Attribute, &["#post-12 > div.entry-content > p[*] > img@loading"]),
            (Fault::Missing, &["#main > ul.related > li.post-4"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "posts",
        "application/json; charset=UTF-8",
        posts,
        &[
            (Fault::Price, &["$[*].content.rendered › body > p.price"]),
            (Fault::Link, &["$[*].content.rendered › form > a@href"]),
            (Fault::Attribute, &["$[*].content.rendered › form > img@loading"]),
            (Fault::Missing, &["$[*]"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "feed",
        "application/rss+xml",
        feed,
        &[
            (Fault::Price, &["rss > channel > price"]),
            (Fault::Link, &["rss > channel > link"]),
            (Fault::Attribute, &["rss > channel > price@currency"]),
            (Fault::Missing, &["rss > channel > item[*]"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "list",
        "application/json",
        list,
        &[
            (Fault::Price, &["$.items[*].price"]),
            (Fault::Link, &["$.items[*].url"]),
            (Fault::Attribute, &["$.items[*].load"]),
            (Fault::Missing, &["$.items[*]"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "sheet",
        "text/csv",
        sheet,
        &[
            (Fault::Price, &["csv.price"]),
            (Fault::Link, &["csv.link"]),
            (Fault::Attribute, &["csv.load"]),
            (Fault::Missing, &["csv"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "call",
        "application/grpc",
        call,
        &[
            (Fault::Price, &["#1"]),
            (Fault::Link, &["#2"]),
            (Fault::Attribute, &["#7"]),
            (Fault::Missing, &["#5[*]"]),
            (Fault::Status, &["status"]),
        ],
    ),
    (
        "text",
        "text/plain",
        text,
        &[
            (Fault::Price, &["line[*]"]),
            (Fault::Link, &["line[*]"]),
            (Fault::Missing, &["line[*]"]),
            (Fault::Status, &["status"]),
        ],
    ),
];

/// The report after all requests with this fault in 1 % of the service's responses.
fn after(seed: u64, media: &str, make: Make, fault: Fault) -> Report {
    let rules = Rules::default();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut evidence = Evidence::new(&rules);
    let headers = HeaderMap::new();
    let request = ComparedRequest { method: &Method::GET, target: "/items", headers: &headers, body: b"" };
    let took = Took { control: Duration::from_millis(20), candidate: Duration::from_millis(9) };
    let mut counter = 0;
    let mut one = |random: &mut fastrand::Rng, base: u64, fault: Fault| -> ComparedResponse {
        counter += 1;
        let status = if fault == Fault::Status { 404 } else { 200 };
        let body = make(&mut Noise { random, counter: base + counter, fault });
        response(status, &[("content-type", media)], body)
    };
    for now in 0..REQUESTS {
        let fault = if random.u32(..100) == 0 { fault } else { Fault::None };
        let control = one(&mut random, 0, Fault::None);
        let candidate = one(&mut random, 1_000_000, fault);
        evidence.record(&compare(&request, &control, &candidate, &rules), None, took, true, now);
        // As in life: until noise is known every request may be sent twice, then one in a hundred.
        if !evidence.noise_known() && random.u32(..10) == 0 || random.u32(..100) == 0 {
            let again = one(&mut random, 0, Fault::None);
            evidence.record_replay(&compare(&request, &control, &again, &rules), Learned::Monolith, now);
        }
    }
    Report::of("items", &evidence)
}

#[test]
fn within_5000_requests_the_report_names_the_fault_and_nothing_else() {
    let seeds = option_env!("MULTILITH_SEEDS").and_then(|seeds| seeds.parse().ok()).unwrap_or(1);
    let mut wrong = Vec::new();
    for (name, media, make, faults) in KINDS {
        for seed in 0..seeds {
            // One fault a seed, all of them in turn; and one run without.
            let turn = usize::try_from(seed).expect("few seeds") % faults.len();
            for (fault, expected) in [faults[turn], (Fault::None, &[][..])] {
                let report = after(seed, media, make, fault);
                let named: Vec<_> = report.regressions().collect();
                if named != expected {
                    wrong.push(format!("{name} {fault:?} seed {seed}: {named:?} instead of {expected:?}"));
                    if wrong.len() == 1 {
                        wrong.push(report.to_string());
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
