//! What the console says of a press: before it, why it cannot be; after it, what it did.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};

use super::console::{FORM, HTML, after, ask, page};
use crate::harness::{Edge, Origin, eventually, is_administrator};

const ROUTES: &str = "[routes.mine]\npath = \"/m\"\nservice = \"users\"\nstage = \"shadow\"\n\
                      [routes.parted]\npath = \"/p\"\nstage = \"split\"\n[routes.parted.variants]\n\
                      blue = { upstream = \"users\", weight = \"50%\" }\ngreen = { upstream = \"monolith\", weight = \"50%\" }\n";
const MOVE: &str = "/console/act?do=promote&route=mine&write=1";
const RULE: &str = "/console/act?do=rule&key=ignore&route=mine&field=%24.as_of";

fn read(edge: &Edge, target: &str) -> String {
    ask(edge, "GET", target, &[HTML], "").2
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anybody_presses() {
    let service = Origin::saying("service");
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(ROUTES).unprivileged().start();
    let (file, folder) = (edge.path().to_owned(), edge.path().parent().expect("a folder").to_owned());
    let mode = |path, mode| set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
    let may_write = || {
        let offered = [read(&edge, MOVE).contains("name=\"write\""), read(&edge, RULE).contains("Write it</button>")];
        assert_eq!(offered[0], offered[1], "both dialogs look at the same file");
        offered[0]
    };
    let told = |what: &str| {
        assert!(!may_write(), "{what}");
        for target in [MOVE, RULE] {
            let shown = read(&edge, target);
            assert!(shown.contains(what), "{what} in {shown}");
        }
        // The move goes on without the file, and says which lines the file would need.
        assert!(read(&edge, MOVE).contains("stage = &quot;canary&quot;"));
    };
    assert!(may_write());
    mode(&folder, 0o555);
    told("The folder of the file cannot be written: Permission denied");
    mode(&folder, 0o755);
    mode(&file, 0o444);
    told("The file cannot be written: it is read-only");
    mode(&file, 0o644);
    assert!(may_write());
    if is_administrator() {
        chown(&file, Some(0), Some(0)).expect("an administrator may take files");
        told("The file cannot be written: Permission denied");
    }
}

#[test]
fn what_cannot_be_pressed_says_why_in_words_that_everybody_sees() {
    let service = Origin::saying("service");
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(ROUTES).start();
    let parted = read(&edge, "/route/parted");
    assert!(parted.contains("<p class=\"lab\">A split has no direction; change its variants in the file.</p>"));
    assert_eq!(parted.matches("can-not").count(), 2, "{parted}");
    let mine = read(&edge, "/route/mine");
    assert!(mine.contains("can-not") && mine.contains("What has no tick above is not shown yet. Going all the same"));
    assert!(![parted, mine].concat().contains(" title="), "a finger has no pointer that could hover");
}

#[test]
fn what_a_press_did_is_said_on_the_page_that_it_leads_to_and_to_nobody_else() {
    let service = Origin::saying("service");
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(ROUTES).start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let (cookie, word) = page(&edge, "/console/act?do=press", None);
    let given = format!("Cookie: {cookie}");
    for (act, leads_to, said) in [
        ("do=press", "./", "Pressed: it holds until it is released"),
        ("do=release&reason=fine", "./", "Released: every route follows its stage again."),
        ("do=reload", "file", "The file says what it said: generation 1 stays in force."),
    ] {
        let body = format!("word={word}&{act}");
        let (status, head, text) = ask(&edge, "POST", "/console/act", &[FORM, &given, &ours], &body);
        assert_eq!(status, 303, "{text}");
        let target = after(&head, "\"../", '"').to_owned();
        assert!(target.starts_with(&format!("{leads_to}?made=")), "{target}");
        let target = format!("/{}", target.trim_start_matches("./"));
        assert!(ask(&edge, "GET", &target, &[HTML, &given], "").2.contains(said), "{said} at {target}");
        assert!(!read(&edge, &target).contains(said), "another visitor has another cookie");
        let later = target.replace("&at=", "&at=9");
        assert!(!ask(&edge, "GET", &later, &[HTML, &given], "").2.contains(said), "its time is signed, too");
        if act == "do=press" {
            let board = read(&edge, "/");
            assert!(board.contains("One thing needs somebody.") && !board.contains("Nothing waits"), "{board}");
        }
    }
}

#[test]
fn a_move_is_taken_back_only_where_its_route_still_stands() {
    let service = Origin::saying("service");
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(ROUTES).start();
    assert_eq!(edge.admin("POST", "/api/v1/routes/mine/promote").status(), 200);
    assert!(read(&edge, "/journal").contains("Take back"));
    let text = edge.text("").replace("routes.mine", "routes.other");
    edge.replace_file(&text);
    edge.await_text(&text);
    let journal = read(&edge, "/journal");
    assert!(journal.contains("route/mine") && !journal.contains("Take back"), "{journal}");
}

#[test]
fn a_question_that_cannot_be_asked_can_be_closed() {
    let edge = Edge::before(&Origin::saying("ok")).with("[routes.a]\npath = \"/a\"\nstage = \"monolith\"\n").start();
    let (status, _, shown) = ask(&edge, "GET", "/console/act?do=rollback&route=a", &[HTML], "");
    assert_eq!(status, 409, "{shown}");
    assert!(shown.contains("data-cancel>Close</a>") && shown.contains("Look at it"), "{shown}");
}

const TRUTHS: &str = "[routes.bare]\npath = \"/b\"\nstage = \"monolith\"\n\
                      [routes.writes]\npath = \"/w\"\nmethods = [\"POST\"]\nservice = \"users\"\nstage = \"monolith\"\n\
                      [routes.copied]\npath = \"/c\"\nmethods = [\"POST\"]\nservice = \"users\"\nstage = \"shadow\"\n\
                      [routes.alone]\npath = \"/a\"\nservice = \"users\"\nstage = \"shadow\"\nfallback = false\n\
                      [routes.both]\npath = \"/o\"\nservice = \"users\"\nstage = \"shadow\"\n";

#[test]
fn a_dialog_says_what_is_true_for_its_route() {
    let service = Origin::saying("service");
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(TRUTHS).start();
    let promote = |route: &str| read(&edge, &format!("/console/act?do=promote&route={route}"));
    assert!(read(&edge, "/journal").contains("The first move, by a person, a gate or the file, stands here: a gate's"));
    let bare = read(&edge, "/route/bare");
    assert!(bare.contains("The route has no <code>service</code>: name one in the file."), "{bare}");
    assert!(!bare.contains("Go to shadow"), "{bare}");
    let writes = promote("writes");
    assert!(writes.contains("no request is copied: ") && writes.contains("writes are not copied"), "{writes}");
    assert!(!writes.contains("gets copies"), "{writes}");
    for page in [read(&edge, "/?q=copied"), read(&edge, "/route/copied")] {
        assert!(page.contains("no request is copied") && !page.contains("copies to the service"), "{page}");
    }
    assert!(promote("both").contains("If users fails, the monolith answers."));
    let alone = promote("alone");
    assert!(alone.contains("If users fails, these clients get its failure"), "{alone}");
}

#[test]
fn a_move_under_the_red_button_says_that_the_monolith_keeps_every_request() {
    let service = Origin::saying("service");
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(TRUTHS).start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    assert!(!read(&edge, "/console/act?do=promote&route=both").contains("big red button"));
    let (cookie, word) = page(&edge, "/console/act?do=press", None);
    let given = format!("Cookie: {cookie}");
    let post = |body: &str| ask(&edge, "POST", "/console/act", &[FORM, &given, &ours], body);
    assert_eq!(post(&format!("word={word}&do=press")).0, 303);
    let target = "/console/act?do=promote&route=both";
    let shown = ask(&edge, "GET", target, &[HTML, &given], "").2;
    assert!(shown.contains("it keeps every request at the monolith"), "{shown}");
    let (word, expect) = (after(&shown, "name=\"word\" value=\"", '"'), after(&shown, "name=\"expect\" value=\"", '"'));
    let (status, head, text) = post(&format!("word={word}&do=promote&route=both&expect={expect}&reason=soon"));
    assert_eq!(status, 303, "{text}");
    let made = after(&head, "\"../", '"').to_owned();
    let made = ask(&edge, "GET", &format!("/{}", made.trim_start_matches("./")), &[HTML, &given], "").2;
    assert!(made.contains("keeps every request at the monolith until it is released"), "{made}");
    assert!(!made.contains("from the next request on"), "{made}");
}

#[test]
fn a_move_with_which_the_file_could_not_be_valid_is_refused_before_anybody_presses() {
    let service = Origin::saying("service");
    let route =
        |name: &str| format!("[routes.{name}]\npath = \"/{name}\"\nservice = \"users\"\nstage = \"migrated\"\n");
    let routes = [route("mine"), route("other")].concat();
    let edge = Edge::before(&Origin::saying("ok")).monolith("retired = true\n").service("users", &service);
    let edge = edge.with(&routes).start();
    let (status, _, shown) =
        ask(&edge, "GET", "/console/act?do=rollback&route=mine&to=canary&weight=50%25", &[HTML], "");
    let why = "the monolith is retired, but <code>mine</code> needs it: it answers a part of the clients";
    assert!(status == 409 && shown.contains(why), "{status} {shown}");
    assert_eq!(ask(&edge, "GET", "/console/act?do=promote&route=mine&to=retired", &[HTML], "").0, 200);
}

#[test]
fn whoever_pauses_the_roll_backs_too_is_told_on_every_page_what_that_means() {
    let service = Origin::saying("service");
    let table = "[routes.users]\npath = \"/u\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"5%\"\ngate = {}\n";
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(table).start();
    let ours = format!("Origin: http://{}", edge.admin_address());
    let target = "/console/act?do=pause&route=users";
    let (cookie, _) = page(&edge, target, None);
    let given = format!("Cookie: {cookie}");
    let shown = ask(&edge, "GET", target, &[HTML, &given], "").2;
    assert!(shown.contains("name=\"all\" value=\"1\"> Its roll-backs, too"), "{shown}");
    assert!(!read(&edge, "/console/act?do=promote&route=users").contains("name=\"all\""));
    let (word, expect) = (after(&shown, "name=\"word\" value=\"", '"'), after(&shown, "name=\"expect\" value=\"", '"'));
    let body = format!("word={word}&do=pause&route=users&expect={expect}&all=1&reason=a%20drill");
    let (status, head, text) = ask(&edge, "POST", "/console/act", &[FORM, &given, &ours], &body);
    assert_eq!(status, 303, "{text}");
    let made = after(&head, "\"../", '"').to_owned();
    let made = ask(&edge, "GET", &format!("/{}", made.trim_start_matches("./")), &[HTML, &given], "").2;
    let warning = "nothing but a person takes the route back";
    assert!(made.contains("Paused, roll-backs too.") && made.contains(warning), "{made}");
    for (target, words) in [
        ("/route/users", "class=\"lab warn\">Paused, roll-backs too. "),
        ("/", "is paused at 5\u{a0}%, roll-backs too"),
        ("/", warning),
        ("/journal", "roll-backs, too: “a drill”"),
    ] {
        eventually(words, || read(&edge, target).contains(words).then_some(()));
    }
}

#[test]
fn a_gate_begins_anew_by_a_button_that_says_who_goes_back() {
    let service = Origin::saying("service");
    let routes = "[routes.mine]\npath = \"/m\"\nservice = \"users\"\nstage = \"canary\"\nweight = \"40%\"\n\
                  [routes.mine.gate]\nsteps = [\"5%\", \"40%\", \"100%\"]\n";
    let edge = Edge::before(&Origin::saying("ok")).service("users", &service).with(routes).start();
    let asks = "/console/act?do=resume&route=mine&from_start=1";
    eventually("the gate's button", || {
        read(&edge, "/route/mine").contains("do=resume&amp;route=mine&amp;from_start=1").then_some(())
    });
    let (cookie, word) = page(&edge, asks, None);
    let question = read(&edge, asks).replace('\u{a0}', " ");
    assert!(question.contains("From canary 40 % back to canary 5 %: its gate forgets"), "{question}");
    let expect = after(&question, "name=\"expect\" value=\"", '"');
    let body = format!("word={word}&do=resume&route=mine&from_start=1&expect={expect}&reason=quiet+now");
    let fields = [FORM, &format!("Cookie: {cookie}"), &format!("Origin: http://{}", edge.admin_address())];
    let (status, head, text) = ask(&edge, "POST", "/console/act", &fields, &body);
    assert!(status == 303 && head.contains("The%20gate%20begins%20anew%20at%20canary"), "{status} {head} {text}");
    assert_eq!(edge.admin_json("GET", "/api/v1/routes/mine").1["weight"], "5%");
    assert!(read(&edge, "/journal").contains("“quiet now”"));
}
