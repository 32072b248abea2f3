//! Both ends of gRPC over the crate h2: a server whose calls end as a test says, and a client that reports how they ended.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;

use crate::harness::{http2_service, read_body, runtime};

/// How a server answers a call.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Messages, then trailers with this status and message.
    Messages(Vec<Vec<u8>>, u16, &'static str),
    /// A head alone, with this status and message.
    TrailersOnly(u16, &'static str),
    /// One message, and the end of the stream without a status.
    NoStatus,
    /// A status of HTTP and nothing else.
    Http(u16),
    /// One message, then a reset.
    Reset,
    /// A reset before any head.
    NoHead,
    /// Nothing, ever.
    Hang,
}

/// A call as the server got it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A server of gRPC. Like those of the C core it refuses a call whose client does not take trailers, by a reset.
pub(crate) struct GrpcOrigin {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl GrpcOrigin {
    pub(crate) fn start(answer: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let (kept, answer) = (Arc::clone(&calls), Arc::new(answer));
        let address =
            http2_service(move |request, respond| serve(request, respond, Arc::clone(&kept), Arc::clone(&answer)));
        Self { address, calls }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `url` and `http` for a table of an upstream.
    pub(crate) fn lines(&self) -> String {
        format!("url = \"http://{}\"\nhttp = \"2\"\n", self.address)
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no panic while held").clone()
    }
}

async fn serve(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    kept: Arc<Mutex<Vec<Call>>>,
    answer: Arc<impl Fn(&Call) -> Answer>,
) {
    let (parts, mut body) = request.into_parts();
    let body = read_body(&mut body).await;
    let call = Call { path: parts.uri.path().to_owned(), headers: parts.headers, body };
    let takes_trailers = call.headers.get("te").is_some_and(|te| te == "trailers");
    let answer = answer(&call);
    kept.lock().expect("no panic while held").push(call);
    if !takes_trailers {
        return respond.send_reset(h2::Reason::PROTOCOL_ERROR);
    }
    let head = |status| {
        let builder = http::Response::builder().status(status).header("content-type", "application/grpc");
        builder.body(()).expect("a head")
    };
    match answer {
        Answer::Messages(messages, status, message) => {
            let Ok(mut stream) = respond.send_response(head(200), false) else { return };
            for message in messages {
                drop(stream.send_data(framed(&message), false));
            }
            drop(stream.send_trailers(trailers(status, message)));
        }
        Answer::TrailersOnly(status, message) => {
            let mut head = head(200);
            head.headers_mut().extend(trailers(status, message));
            drop(respond.send_response(head, true));
        }
        Answer::NoStatus => {
            let Ok(mut stream) = respond.send_response(head(200), false) else { return };
            drop(stream.send_data(framed(b"x"), true));
        }
        Answer::NoHead => respond.send_reset(h2::Reason::INTERNAL_ERROR),
        Answer::Hang => std::future::pending().await,
        Answer::Http(status) => drop(respond.send_response(head(status), true)),
        Answer::Reset => {
            let Ok(mut stream) = respond.send_response(head(200), false) else { return };
            drop(stream.send_data(framed(b"x"), false));
            // The message leaves before the reset does.
            tokio::task::yield_now().await;
            stream.send_reset(h2::Reason::INTERNAL_ERROR);
        }
    }
}

fn trailers(status: u16, message: &'static str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", status.into());
    if !message.is_empty() {
        fields.insert("grpc-message", HeaderValue::from_static(message));
    }
    fields
}

/// gRPC's frame: not compressed, and the length.
pub(crate) fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[0], &length.to_be_bytes()[..], message].concat().into()
}

/// What a client saw of a call.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) http: u16,
    pub(crate) head: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// `None`: the head ended the stream.
    pub(crate) trailers: Option<HeaderMap>,
}

impl Ended {
    /// Status and message, wherever they stand.
    pub(crate) fn outcome(&self) -> (Option<u16>, String) {
        let fields = self.trailers.as_ref().filter(|fields| fields.contains_key("grpc-status")).unwrap_or(&self.head);
        let text = |name| fields.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        (text("grpc-status").parse().ok(), text("grpc-message").to_owned())
    }
}

/// One call on a connection of its own, with these fields beside those that a client always sends.
///
/// # Errors
/// The reason with which the stream was reset.
pub(crate) fn call(
    edge: SocketAddr,
    path: &str,
    fields: &[(&'static str, &str)],
    message: &[u8],
) -> Result<Ended, h2::Reason> {
    runtime().block_on(async {
        let stream = TcpStream::connect(edge).await.expect("the proxy listens");
        let (mut client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
        tokio::spawn(connection);
        let mut request = http::Request::post(format!("http://shop.example{path}")).body(()).expect("a request");
        for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")].iter().chain(fields) {
            let value = HeaderValue::from_str(value).expect("a value");
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        let (answer, mut sender) = client.send_request(request, false).expect("a stream");
        // The proxy may have answered before it has read all.
        drop(sender.send_data(framed(message), true));
        let reason = |error: h2::Error| error.reason().expect("a reset has a reason");
        let (head, mut stream) = answer.await.map_err(reason)?.into_parts();
        let whole = stream.is_end_stream();
        let mut body = Vec::new();
        while let Some(chunk) = stream.data().await {
            let chunk = chunk.map_err(reason)?;
            drop(stream.flow_control().release_capacity(chunk.len()));
            body.extend_from_slice(&chunk);
        }
        let trailers = if whole { None } else { Some(stream.trailers().await.map_err(reason)?.unwrap_or_default()) };
        Ok(Ended { http: head.status.as_u16(), head: head.headers, body, trailers })
    })
}
