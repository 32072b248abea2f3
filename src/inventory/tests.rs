//! Which endpoints are found in the traffic of small sites, each with one difficulty.

use std::collections::HashSet;

use super::{LEAST, Observation, Tree, redirect_target};

fn exchange<'a>(method: &'a str, path: &'a str, status: u16, client: u32) -> Observation<'a> {
    Observation { method, path, status, client, weight: 1, minute: 1, monolith: true, ..Observation::default() }
}

/// The endpoints of requests that are all answered, by many clients.
fn listed(paths: impl Iterator<Item = String>) -> Vec<String> {
    let mut tree = Tree::default();
    for (number, path) in paths.enumerate() {
        tree.add(&exchange("GET", &path, 200, u32::try_from(number % 97).expect("small")));
    }
    tree.settle_for_display();
    let mut found: Vec<String> = tree.endpoints(LEAST).into_iter().map(|one| one.path).collect();
    found.sort();
    found
}

const SYLLABLES: [&str; 16] =
    ["ba", "ne", "to", "lu", "mi", "ra", "so", "ve", "ki", "da", "po", "fe", "gu", "wi", "ma", "lo"];

/// A title of three words.
fn title(number: usize) -> String {
    let word = |at: usize| format!("{}{}", SYLLABLES[at % 16], SYLLABLES[at / 16 % 16]);
    format!("{}-{}-{}", word(number), word(number * 7 + 3), word(number * 13 + 5))
}

#[test]
fn languages_are_one_place_and_two_letters_alone_are_none() {
    let pages = ["", "/cart", "/about", "/blog/{}"];
    let path = |number: usize| {
        let language = ["de", "en-GB", "fr", "us"][number % 4];
        format!("/{language}{}", pages[number / 4 % 4].replace("{}", &number.to_string()))
    };
    assert_eq!(listed((0..800).map(path)), ["/{}", "/{}/about", "/{}/blog/{}", "/{}/cart"]);
    // `id` and `me` could be languages, too; what stands below them is not the same.
    let words = (0..200).map(|number| ["/id/card", "/me/profile", "/it/tickets"][number % 3].to_owned());
    assert_eq!(listed(words), ["/id/card", "/it/tickets", "/me/profile"]);
}

#[test]
fn codes_are_values_and_one_file_below_each_order_makes_no_folder() {
    let paths = (0..1_200).map(|number| match number % 6 {
        0 => format!("/rates/{}", ["EUR", "USD", "GBP"][number / 6 % 3]),
        2 => "/orders".to_owned(),
        3 => format!("/orders/{number}/lines/{number}/label.pdf"),
        4 => format!("/orders/{number}"),
        _ => format!("/orders/{number}/invoice.pdf"),
    });
    let expected = ["/orders", "/orders/{}", "/orders/{}/invoice.pdf", "/orders/{}/lines/{}/label.pdf", "/rates/{}"];
    assert_eq!(listed(paths), expected);
}

#[test]
fn files_and_collections_stay_words_among_titles() {
    let paths = (0..6_000).map(|number| match number % 8 {
        0 => ["/robots.txt", "/favicon.ico", "/xmlrpc.php"][number / 8 % 3].to_owned(),
        1 => format!("/author/{}/", ["anna", "boris", "chloe", "dora"][number / 8 % 4]),
        2 => format!("/author/{}/page/{}/", ["anna", "boris", "chloe", "dora"][number / 8 % 4], number / 8 % 30),
        _ => format!("/{}/", title(number % 900)),
    });
    let found = listed(paths);
    for path in ["/robots.txt", "/favicon.ico", "/xmlrpc.php", "/{}/"] {
        assert!(found.iter().any(|one| one == path), "{path}: {found:?}");
    }
    assert!(found.iter().any(|one| one.starts_with("/author/") && one.ends_with("/page/{}/")), "{found:?}");
}

#[test]
fn months_numbered_names_and_sizes_are_values() {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let paths = (0..900).map(|number| match number % 3 {
        0 => format!("/stats/{}/{}", 2015 + number % 9, MONTHS[number / 3 % 12]),
        1 => format!("/browse/{}-{}", ["PROJ", "OPS", "WEB"][number / 3 % 3], number % 70),
        _ => format!("/thumb/{}/{:08x}.jpg", ["64x64", "1024x768"][number / 3 % 2], number * 7_654_321),
    });
    assert_eq!(listed(paths), ["/browse/{}", "/stats/{}/{}", "/thumb/{}/{}.jpg"]);
}

#[test]
fn files_with_several_endings_are_one_place_and_a_package_called_like_a_file_is_none() {
    let endings = ["pdf", "docx", "zip", "xlsx"];
    let paths = (0..2_400).map(|number| match number % 3 {
        0 => format!("/files/{}.{}", title(number), endings[number / 3 % 4]),
        1 => format!("/packages/{}{}/versions", title(number), if number % 9 == 1 { ".js" } else { "" }),
        _ => format!("/uploads/{}.{}", title(number), ["jpg", "webp", "png"][number / 3 % 3]),
    });
    assert_eq!(listed(paths), ["/files/{}", "/packages/{}/versions", "/uploads/{}"]);
}

#[test]
fn a_hash_of_digits_alone_is_no_version_beside_other_hashes() {
    let paths = (0..600).map(|number| {
        let hash =
            if number % 3 == 0 { "82275036".to_owned() } else { format!("{:08x}", 0xa000_0000_u32 + number % 9) };
        format!("/s/{hash}/batch.js")
    });
    assert_eq!(listed(paths), ["/s/{}/batch.js"]);
}

#[test]
fn categories_of_titles_are_one_place_and_resources_are_not() {
    const CATEGORIES: [&str; 8] = ["sport", "culture", "travel", "money", "weather", "food", "science", "garden"];
    const RESOURCES: [&str; 8] =
        ["ability", "berry", "egg-group", "growth-rate", "location", "move", "nature", "region"];
    let paths = (0..6_400).map(|number| match number % 4 {
        0 => format!("/news/{}", CATEGORIES[number / 4 % 8]),
        1 => format!("/news/{}/{}", CATEGORIES[number / 4 % 8], title(number / 32)),
        2 => format!("/api/v2/{}", RESOURCES[number / 4 % 8]),
        _ => format!("/api/v2/{}/{}", RESOURCES[number / 4 % 8], number % 50),
    });
    let mut expected = vec!["/news/{}".to_owned(), "/news/{}/{}".to_owned()];
    for resource in RESOURCES {
        expected.extend([format!("/api/v2/{resource}"), format!("/api/v2/{resource}/{{}}")]);
    }
    expected.sort();
    assert_eq!(listed(paths), expected);
}

#[test]
fn a_text_as_long_as_the_ids_beside_it_is_one() {
    let paths = (0..900).map(|number: usize| match number % 100 {
        0 => "/jobs/cwepcyeproqoedmiczaxcsiqo8/log".to_owned(),
        1 => "/jobs/statistics".to_owned(),
        _ => format!("/jobs/c{:025x}/log", number * 987_654_321),
    });
    assert_eq!(listed(paths), ["/jobs/statistics", "/jobs/{}/log"]);
}

#[test]
fn a_given_literal_is_never_merged_and_a_given_parameter_takes_every_word() {
    let mut tree = Tree::default();
    tree.give("/users/export", false);
    tree.give("/blog/{title}", true);
    for number in 0..600_u32 {
        let user = format!("/users/anna-{}-{}-maria", number % 200, number % 7);
        tree.add(&exchange("GET", &user, 200, number));
        tree.add(&exchange("GET", "/users/export", 200, number));
        tree.add(&exchange("GET", if number % 2 == 0 { "/blog/one" } else { "/blog/two" }, 200, number));
    }
    tree.settle_for_display();
    let mut paths: Vec<String> = tree.endpoints(LEAST).into_iter().map(|one| one.path).collect();
    paths.sort();
    assert_eq!(paths, ["/blog/{}", "/users/export", "/users/{}"]);
}

#[test]
fn a_given_parameter_takes_what_was_a_word_before_pictures_too() {
    let mut tree = Tree::default();
    let send = |tree: &mut Tree, path: &str| (0..6).for_each(|client| tree.add(&exchange("GET", path, 200, client)));
    for path in ["/files/a.jpg", "/files/notes", "/img/a.jpg", "/img/plain"] {
        send(&mut tree, path);
    }
    for template in ["/files/{name}", "/img/{name}", "/img/{name}.jpg"] {
        assert!(tree.give(template, true));
    }
    for path in ["/files/b.jpg", "/files/42.jpg", "/img/b.jpg", "/img/other"] {
        send(&mut tree, path);
    }
    tree.settle_for_display();
    let mut paths: Vec<String> = tree.endpoints(LEAST).into_iter().map(|one| one.path).collect();
    paths.sort();
    assert_eq!(paths, ["/files/{}", "/img/{}", "/img/{}.jpg"]);
}

#[test]
fn what_only_a_demand_for_credentials_made_is_forgotten_whatever_its_names_look_like() {
    let mut tree = Tree::default();
    for number in 0..40 {
        // `42.js` is the name of a package here, and would be a script at the end of a path.
        let path = format!("/{number}.js/{}", title(number));
        for client in 0..6 {
            tree.add(&exchange("GET", &path, 401, client));
        }
    }
    tree.settle_for_display();
    let found: Vec<String> = tree.endpoints(LEAST).into_iter().map(|one| one.path).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_resource_among_values_is_told_by_what_only_it_says() {
    // `ranges` has few requests, but none of the products has what follows it.
    let paths = (0..400).map(|number| match number % 40 {
        0 => format!("/catalogue/ranges/{}", title(number / 40)),
        at if at % 3 == 0 => format!("/catalogue/{}/reviews", title(number % 60)),
        _ => format!("/catalogue/{}", title(number % 60)),
    });
    assert_eq!(listed(paths), ["/catalogue/ranges/{}", "/catalogue/{}", "/catalogue/{}/reviews"]);
}

#[test]
fn long_names_in_snake_case_are_words() {
    let name = |number: usize| {
        let part = ["frontend", "droplets", "backend"][number % 3];
        let figure = ["http_requests", "http_responses", "tls_connections", "queue_size"][number / 3 % 4];
        format!("/metrics/balancer/{part}_{figure}_{}", ["on_average", "at_most", "at_least"][number / 12 % 3])
    };
    let seen = |number: usize| if number < 6 { 1 } else { 25 };
    let found = listed((0..36).flat_map(|number| std::iter::repeat_n(name(number), seen(number))));
    assert_eq!(found.len(), 30, "{found:?}");
}

#[test]
fn a_few_clients_that_ask_for_everything_teach_little_where_all_is_answered() {
    const PAGES: [&str; 6] = ["/orders", "/orders/{}", "/basket", "/users/{}/cards", "/search", "/api/v1/stock"];
    let mut tree = Tree::default();
    for number in 0..20_000_usize {
        let page = PAGES[number % 6].replace("{}", &(number % 999).to_string());
        tree.add(&exchange("GET", &page, 200, u32::try_from(number % 700).expect("small")));
        let made = title(number * 31 % 256).replace('-', SYLLABLES[number / 256 % 16]);
        let probe = match number % 5 {
            0 | 1 => "/wp-login.php".to_owned(),
            2 => format!("/{made}"),
            3 => format!("/{made}.php"),
            _ => format!("/api/v1/{made}"),
        };
        tree.add(&exchange("GET", &probe, 200, u32::try_from(90_000 + number % 4).expect("small")));
    }
    tree.settle_for_display();
    let found: HashSet<String> = tree.endpoints(LEAST).into_iter().map(|one| one.path).collect();
    for page in PAGES {
        assert!(found.contains(page), "{page}: {found:?}");
    }
    assert!(found.len() < PAGES.len() + 20, "{}: {found:?}", found.len());
}

/// The endpoints after each of these answers to each of `clients` clients.
fn after_answers(answers: &[(&str, u16, &str)], clients: u32) -> Vec<String> {
    let mut tree = Tree::default();
    for client in 0..clients {
        for (path, status, location) in answers {
            let location = redirect_target(path.as_bytes(), location.as_bytes());
            tree.add(&Observation { location, ..exchange("GET", path, *status, client) });
        }
    }
    tree.settle_for_display();
    tree.endpoints(LEAST).into_iter().map(|one| one.path).collect()
}

#[test]
fn a_path_that_demands_credentials_of_everybody_is_an_endpoint() {
    let answers = [("/get", 200, ""), ("/basic-auth/user/passwd", 401, ""), ("/denied", 403, "")];
    let mut found = after_answers(&answers, 6);
    found.sort();
    assert_eq!(found, ["/basic-auth/user/passwd", "/get"]);
}

#[test]
fn a_site_that_demands_credentials_for_every_path_teaches_none_of_them() {
    let paths: Vec<String> = (0..40).map(|number| format!("/{}", title(number))).collect();
    let mut answers: Vec<(&str, u16, &str)> = paths.iter().map(|path| (path.as_str(), 401, "")).collect();
    answers.push(("/login", 200, ""));
    assert_eq!(after_answers(&answers, 6), ["/login"]);
}

#[test]
fn a_move_is_an_endpoint_and_a_login_page_makes_none() {
    let pages: Vec<String> = (0..40).map(|number| format!("/{}", title(number))).collect();
    let logins: Vec<String> = pages.iter().map(|page| format!("/login?next={page}")).collect();
    let moved: Vec<String> = (0..40).map(|number| format!("/orders/{number}")).collect();
    let to: Vec<String> = (0..40).map(|number| format!("https://shop.example.com/v2/orders/{number}")).collect();
    let mut answers =
        vec![("/login", 200, ""), ("/old", 301, "/new"), ("/cart", 308, "/cart/"), ("/Home", 302, "/home")];
    answers.extend(pages.iter().zip(&logins).map(|(page, login)| (page.as_str(), 302, login.as_str())));
    answers.extend(moved.iter().zip(&to).map(|(path, to)| (path.as_str(), 307, to.as_str())));
    let mut found = after_answers(&answers, 6);
    found.sort();
    assert_eq!(found, ["/login", "/old", "/orders/{}"]);
}

#[test]
fn short_numbers_belong_to_the_long_ones_beside_them() {
    let colours = ["red", "green", "blue"];
    let paths = (0..20_000).map(|number| match number % 40 {
        0 => format!("/products/{}-{}", colours[number % 3], number / 40 % 40),
        1 => "/products/new".to_owned(),
        _ => format!("/products/{}-{}", colours[number % 3], 1_000 + number % 3_000),
    });
    assert_eq!(listed(paths), ["/products/new", "/products/{}"]);
}

#[test]
fn an_endpoint_that_is_given_is_listed_although_most_of_its_requests_are_refused() {
    let mut tree = Tree::default();
    tree.give("/coupons/{code}", false);
    for number in 0..100_u32 {
        let status = if number % 10 == 0 { 200 } else { 404 };
        tree.add(&exchange("GET", &format!("/coupons/{number}"), status, number));
        tree.add(&exchange("GET", &format!("/guesses/{number}"), status, number));
    }
    tree.settle_for_display();
    let found: Vec<String> = tree.endpoints(LEAST).into_iter().map(|one| one.path).collect();
    assert_eq!(found, ["/coupons/{}"]);
}

#[test]
fn an_estimate_is_never_more_than_there_were_requests() {
    for requests in 3..400_u32 {
        let mut tree = Tree::default();
        for number in 0..requests {
            tree.add(&exchange("GET", "/", 200, number));
            tree.add(&exchange("GET", &format!("/users/{number}"), 200, number));
            tree.add(&exchange("GET", &format!("/nothing-{number}"), 404, number));
        }
        tree.settle_for_display();
        let report = super::InventoryReport::of(&tree);
        assert!(report.unknown.paths <= report.unknown.requests, "{requests} requests");
        for endpoint in &report.endpoints {
            assert!(endpoint.callers <= endpoint.requests, "{requests} requests");
            assert!(endpoint.parameters.iter().all(|one| one.kinds <= endpoint.requests), "{requests} requests");
        }
    }
}

#[test]
fn what_the_monolith_answers_at_places_that_are_not_listed_is_counted_for_thirty_days() {
    const DAY: u32 = 24 * 60;
    let mut tree = Tree::default();
    let at = |day: u32, exchange: Observation<'static>| Observation { minute: 29_000_000 + day * DAY, ..exchange };
    for client in 0..400 {
        // One client alone, a page that fails for all clients, and a path that does not exist.
        tree.add(&at(0, exchange("POST", "/batch/import", 200, 1)));
        tree.add(&at(0, exchange("GET", "/boom", 500, client)));
        tree.add(&at(0, exchange("GET", "/nothing", 404, client)));
        tree.add(&at(0, Observation { monolith: false, ..exchange("GET", "/orders", 200, client) }));
        // A service's own is no reason to keep the monolith.
        tree.add(&at(0, Observation { monolith: false, ..exchange("GET", "/broken", 500, client) }));
    }
    let strays = |tree: &Tree| {
        let mut tree = tree.clone();
        tree.settle_for_display();
        super::InventoryReport::of(&tree).strays
    };
    assert_eq!(strays(&tree), 800);
    tree.add(&at(29, Observation { monolith: false, ..exchange("GET", "/orders", 200, 1) }));
    assert_eq!(strays(&tree), 800);
    tree.add(&at(32, Observation { monolith: false, ..exchange("GET", "/orders", 200, 1) }));
    assert_eq!(strays(&tree), 0);
}

#[test]
fn no_number_of_values_is_said_where_it_is_not_the_endpoints_own() {
    let mut tree = Tree::default();
    for number in 0..5_000_u32 {
        tree.add(&exchange("GET", &format!("/orders/{number}"), 200, number));
        if number % 500 == 0 {
            tree.add(&exchange("DELETE", &format!("/orders/{number}"), 200, number));
        }
    }
    tree.settle_for_display();
    let report = super::InventoryReport::of(&tree);
    let parameter = |at: usize| report.endpoints[at].parameters[0].clone();
    assert_eq!((&*report.endpoints[0].method, &*report.endpoints[1].method), ("GET", "DELETE"));
    assert!(parameter(0).about().starts_with('~'), "{:?}", parameter(0));
    assert_eq!((parameter(1).about().as_str(), parameter(1).cut), ("numbers", true));
}

#[test]
fn another_spelling_of_a_given_word_is_no_value_in_a_flood() {
    let mut tree = Tree::default();
    tree.give("/users/{id}", false);
    let word = |number: u32| {
        let [one, two] = [number % 16, number / 16 % 16].map(|at| SYLLABLES[at as usize]);
        format!("{one}{two}{}", ["", "en", "er", "ing"][number as usize / 256 % 4])
    };
    let mut client = 0;
    let mut ask = |tree: &mut Tree, path: &str| {
        client += 1;
        tree.add(&exchange("GET", path, 200, client % 4_000));
    };
    for number in 0..59_000_u32 {
        let path = match number % 50 {
            0 => format!("/Users/{}", number % 977),
            1..=9 => format!("/users/{}", number % 977),
            10..=19 => "/basket".to_owned(),
            20..=29 => "/search".to_owned(),
            _ => format!("/orders/{}", number % 977),
        };
        ask(&mut tree, &path);
    }
    for number in 0..60_000_u32 {
        let odd = number.wrapping_mul(2_654_435_761);
        let path = format!("/{}/{}/{}", word(odd >> 20), word(odd >> 10 & 1_023), word(odd & 1_023));
        ask(&mut tree, &path);
        if number % 20 == 0 {
            ask(&mut tree, &format!("/Users/{}", number % 977));
        }
    }
    tree.settle_for_display();
    let found = tree.endpoints(LEAST);
    let spelling = found.iter().find(|listed| listed.path == "/Users/{}");
    let requests = spelling.map(|listed| listed.count.requests);
    assert_eq!(requests, Some(1_180 + 3_000), "{:?}", found.iter().map(|listed| &listed.path).collect::<Vec<_>>());
}

#[test]
fn of_many_agents_none_is_said_to_be_the_callers() {
    let mut tree = Tree::default();
    let names: Vec<String> = (0..100).map(|number| format!("bot-{number}/1.0")).collect();
    for number in 0..3_000_u32 {
        let agent = &*names[number as usize % 100];
        tree.add(&Observation { agent, ..exchange("GET", "/many", 200, number) });
        tree.add(&Observation { agent, ..exchange("GET", "/some", 200, number) });
        tree.add(&Observation { agent: "batch/2", ..exchange("GET", "/some", 200, number) });
        tree.add(&Observation { agent: names[number as usize % 4].as_str(), ..exchange("GET", "/few", 200, number) });
    }
    tree.settle_for_display();
    let report = super::InventoryReport::of(&tree);
    let asked = |path: &str| report.endpoints.iter().find(|one| one.path == path).expect("it is listed").asked_by(1);
    assert_eq!(asked("/many"), "many different agents");
    assert_eq!(asked("/some"), "batch/2 and others");
    assert!(asked("/few").ends_with(" and 3 more"), "{}", asked("/few"));
}
