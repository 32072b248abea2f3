//! Versions of one API side by side, by path and by header: `versions.toml` is the example.

use crate::harness::{Origin, Reply};
use crate::stages::world::World;

fn echo(name: &'static str) -> Origin {
    Origin::start(move |request| {
        let target = String::from_utf8_lossy(request.target()).into_owned();
        Reply::status("200 OK", &["Location: /users/9"], format!("{name} {target}"))
    })
}

#[test]
fn each_version_has_its_side() {
    let world = World::between(echo("monolith"), echo("service"), "", include_str!("versions.toml"));
    let table: [(&str, &[&str], &str); 11] = [
        ("/v1/users/7", &[], "monolith /v1/users/7"),
        ("/v1/users", &[], "monolith /v1/users"),
        ("/v2/users/7?a=b", &[], "service /users/7?a=b"),
        ("/v2/users", &[], "service /users"),
        ("/v2/users/7/orders/", &[], "service /users/7/orders/"),
        ("/people/7", &["Accept: application/vnd.x.v2+json"], "service /users/7"),
        ("/people/7", &["Accept: text/html, application/vnd.x.v2+json;q=0.9"], "service /users/7"),
        ("/people/7", &["Accept: application/vnd.x.v1+json"], "monolith /people/7"),
        ("/people/7", &["Accept: application/vnd.x.v2+jsonp"], "monolith /people/7"),
        ("/people/7", &["Accept: */*"], "monolith /people/7"),
        ("/people/7", &[], "monolith /people/7"),
    ];
    for (target, fields, expected) in table {
        assert_eq!(world.get(target, fields).text(), expected, "{target} {fields:?}");
    }
    assert_eq!(world.get("/v2/users/7", &[]).get("location"), Some("/v2/users/9"));
    assert_eq!(world.get("/v1/users/7", &[]).get("location"), Some("/users/9"), "the monolith's answer is its own");
}
