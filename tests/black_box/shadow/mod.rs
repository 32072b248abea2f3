//! Copies and comparisons, over real sockets: that a copy hurts nobody, that it is exact, and that its answer is judged rightly.
//!
//! How the mirrors of other proxies hurt the requests that they copy, and the test that says ours does not:
//!
//! | what happened elsewhere | here |
//! |---|---|
//! | the next request on the connection waits for the copy of the one before (nginx, APISIX) | each of `bad_targets`: one connection for all requests |
//! | the upload waits for the target, through a pipe (Skipper) | `a_target_that_accepts_and_never_reads` |
//! | the body is read whole before the primary starts (Traefik) | `the_monolith_gets_a_body_as_it_streams_and_not_when_it_is_whole` |
//! | without a limit, until the memory is full (Traefik) | `memory` |
//! | with a limit, a request without a body gets 500 (Traefik) | `requests_without_a_body_pass_whatever_the_limit_is` |
//! | a body over the limit fails, or is cut at one buffer (SPOE) | `a_body_over_the_limit_is_not_copied_and_reaches_the_monolith_whole`, `bodies_are_replayed_exactly_with_the_framing_they_came_in` |
//! | a length is announced and no body sent (Traefik) | the same, `an_empty_body_with_a_length_stays_one` |
//! | a retry of the primary corrupts its answer or the copy (Traefik) | `a_retry_of_the_primary_never_reaches_the_copy_twice`, `clients_at_once_get_their_own_bytes_and_so_do_the_copies` |
//! | every nth request is copied (Traefik) | `the_sample_is_not_every_nth_request` |
//! | copies wait for each other, without a time of their own (Traefik) | `a_copy_that_hangs_does_not_hold_up_the_next`, `a_target_that_drips_until_the_time_of_the_copy_is_over` |
//! | a target that is down costs each request its timeout (HAProxy) | `a_target_that_refuses`, `a_target_that_cannot_be_reached` |
//! | connections of copies are not kept (nginx) | `copies_keep_their_connections_alive` |
//! | another Host (Envoy, Istio), no rules for headers (Istio) | `a_copy_is_the_clients_request_with_a_marker`, `the_copy_alone_gets_the_headers_of_its_table` |
//! | clients switch the copy on or off by a header (Pingap, Skipper) | `a_copy_is_the_clients_request_with_a_marker` |
//! | copies and requests are one in the metrics (Istio) | `copies_are_counted_apart_from_what_clients_were_answered` |
//! | a copy goes to all endpoints, follows redirects, is sent twice | `once` |
//! | writes are copied (Flagger, strangler-fig-proxy), PATCH by an oversight (Diffy) | `writes` |
//! | certificates are not checked (sentinel) | `a_service_with_tls_gets_its_copies_if_its_certificate_is_right` |
//! | the client waits for the comparison (Diffy, sbmt-strangler) | `an_answer_that_streams_is_not_held_back_by_its_comparison` |
//! | noise in headers is not known for noise (Diferencia) | `the_one_real_error_is_named_and_none_of_the_noise` |
//! | secrets are stored (strangler-fig-proxy) | `secrets` |

mod again;
mod bad_targets;
mod comparing;
mod console;
mod copies;
mod cpu;
mod credentials;
mod described;
mod evidence;
mod follow;
mod grpc;
mod http2;
mod memory;
mod noise;
mod once;
mod plan;
mod primary;
mod secrets;
mod tls;
mod writes;
