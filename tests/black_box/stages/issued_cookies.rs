//! The attributes of the cookies that the proxy issues.

use crate::harness::Origin;
use crate::stages::world::{World, canary, cookies};

const HTTPS: &str = "X-Forwarded-Proto: https";

#[test]
fn every_issued_cookie_has_the_attributes_of_the_file() {
    for (table, fields, expected) in [
        ("", &[][..], "HttpOnly; SameSite=Lax"),
        // A balancer ends TLS: the browser came with it all the same.
        ("", &[HTTPS], "HttpOnly; SameSite=Lax; Secure"),
        ("secure = false", &[HTTPS], "HttpOnly; SameSite=Lax"),
        ("same_site = \"none\"\npartitioned = true", &[HTTPS], "HttpOnly; SameSite=None; Secure; Partitioned"),
        ("same_site = \"none\"\npartitioned = true", &[], "HttpOnly; SameSite=Lax"),
        (
            "same_site = \"strict\"\ndomain = \".Shop.example\"\nsecure = true",
            &[],
            "HttpOnly; SameSite=Strict; Domain=shop.example; Secure",
        ),
    ] {
        let server = format!("trusted = [\"127.0.0.0/8\"]\n[server.cookies]\nmax_age = \"30d\"\n{table}");
        let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
        let world = World::between(monolith, service, &server, &canary("50%", "pin = \"10m\""));
        let response = world.get("/users", fields);
        let lines = cookies(&response);
        let [id, pin] = lines[..] else { panic!("two cookies, not {lines:?}") };
        assert!(id.starts_with("multilith_id="), "{id}");
        assert!(id.ends_with(&format!("; Path=/; Max-Age=2592000; {expected}")), "{id}");
        assert_eq!(pin, format!("multilith_pin_users={}; Path=/; Max-Age=600; {expected}", response.text()));
    }
}
