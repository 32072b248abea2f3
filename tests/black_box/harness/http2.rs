//! A server that speaks HTTP/2 alone, with prior knowledge, by the crate h2.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// Hands over each connection that comes, on a thread of its own.
pub(crate) fn http2_server<S>(serve: impl Fn(TcpStream) -> S + Send + 'static) -> SocketAddr
where
    S: Future<Output = ()> + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    listener.set_nonblocking(true).expect("a socket takes options");
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::from_std(listener).expect("a listener of tokio");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
    });
    address
}

/// Hands over each request, whatever others wait for.
pub(crate) fn http2_service<A>(
    answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> A + Clone + Send + 'static,
) -> SocketAddr
where
    A: Future<Output = ()> + Send + 'static,
{
    http2_server(move |stream| {
        let answer = answer.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(answer(request, respond));
            }
        }
    })
}

/// 200 with this body, to a client that may be gone.
pub(crate) fn say(respond: &mut SendResponse<Bytes>, body: impl Into<Bytes>) {
    if let Ok(mut sender) = respond.send_response(Response::new(()), false) {
        drop(sender.send_data(body.into(), true));
    }
}

/// All data that comes until the stream ends.
pub(crate) async fn read_body(body: &mut RecvStream) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(Ok(chunk)) = body.data().await {
        drop(body.flow_control().release_capacity(chunk.len()));
        read.extend_from_slice(&chunk);
    }
    read
}

pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime starts")
}
