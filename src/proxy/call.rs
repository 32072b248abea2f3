//! The end of a gRPC call: `grpc-status`, in the trailers or in a head without a body.

use crate::message::{GrpcStatus, Piece, RequestHead, ResponseHead, is_call, is_web_call};

/// A request that is a call of gRPC.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// Its route declares that it changes nothing.
    pub safe: bool,
    /// How it ended, as far as it has.
    pub status: Option<GrpcStatus>,
    /// gRPC-Web: its trailers are a part of the body, which is not read.
    web: bool,
}

impl Call {
    pub fn of(head: &RequestHead) -> Option<Self> {
        let call = head.method == http::Method::POST && is_call(&head.fields);
        call.then(|| Self { safe: false, status: None, web: is_web_call(&head.fields) })
    }

    /// The final head of a response: the status that counts as a failure, if it is a whole response that says one.
    pub fn failed_in_head(&mut self, head: &ResponseHead) -> Option<GrpcStatus> {
        self.status = GrpcStatus::of(&head.fields).filter(|_| head.status.is_success());
        self.status.filter(|status| status.is_failure())
    }

    /// A piece of a response's body behind a head with this status: its end says how the call ended. The status that counts as a
    /// failure, if it is one.
    pub fn failed_at_end(&mut self, piece: &Piece, http: u16) -> Option<GrpcStatus> {
        if self.status.is_some() || !piece.is_last() {
            return None;
        }
        let said = if let Piece::Trailers(fields) = piece { GrpcStatus::of(fields) } else { None };
        // Behind a head of success, the end without a status is one that every client calls UNKNOWN.
        let silent = http == 200 && !self.web;
        self.status = said.or(silent.then_some(GrpcStatus::UNKNOWN));
        self.status.filter(|status| status.is_failure())
    }
}
