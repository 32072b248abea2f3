//! What copies may take of a processor is bounded where the file says so, and clients notice nothing of it.

use crate::harness::Origin;
use crate::shadow::plan::{in_the_end, shadowing};

#[test]
fn copies_beyond_their_share_of_the_processor_are_skipped_until_it_is_there_again() {
    let (monolith, service) = (Origin::saying("monolith"), Origin::saying("service"));
    let edge = shadowing(&monolith, service.address(), "in_flight = 1000\n[shadow]\ncpu = \"1%\"\n");
    let mut client = edge.client();
    let mut asked = 0_u32;
    let mut ask = || {
        assert_eq!(client.request("GET", "/", &[]).text(), "monolith");
        asked += 1;
    };
    in_the_end("copies that are skipped for the processor", || {
        (0..20).for_each(|_| ask());
        (edge.skipped("cpu") > 0.0).then_some(())
    });
    let before = edge.sent("answered");
    in_the_end("copies that are sent again", || {
        ask();
        (edge.sent("answered") > before).then_some(())
    });
    in_the_end("every request counted once, as sent or as skipped", || {
        let counted = edge.sent("answered") + edge.skipped("cpu") + edge.skipped("queue_full");
        (counted >= f64::from(asked)).then_some(())
    });
}
