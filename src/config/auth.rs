//! `[routes.NAME] auth` and `shadow.credentials` as written: the identity of a client.

use std::time::Duration;

use http::HeaderName;

use super::list::Item;
use super::table::table;
use super::{CacheBy, EtcdApi, HeaderList, HeaderValues, Limit, Named, OneOrMany};

table! {
    /// Which requests may pass at all, and what their service is told of the client.
    pub struct Auth {
        /// A bearer token with a valid signature. Default: not asked for.
        jwt: Jwt,
        /// A server that is asked before a service answers or gets a copy: 2xx lets the request pass, anything else is the
        /// client's answer. It is never asked where the monolith answers. Default: none.
        forward: Box<ForwardAuth>,
        /// Exchanges what the client shows for what the service believes. Default: not exchanged.
        exchange: Box<TokenExchange>,
    }
}

table! {
    /// A bearer token with a valid signature. Exactly one of `jwks` and `key`.
    pub struct Jwt {
        /// URL or file of a key set. Required, unless `key` is given.
        jwks: String,
        /// A public key, PEM, or a shared secret of 32 bytes or more. Required, unless `jwks` is given.
        key: super::Secret,
        /// The value that `iss` must have. Default: any.
        issuer: String,
        /// The value that `aud` must hold; of a list one is enough. Default: any.
        audience: OneOrMany<String>,
        /// Claims that the upstream is given as headers. What a client sends under these names is removed, on every route of a
        /// service that gets them on one. Default: none.
        forward: Named<HeaderName>,
        /// Refuse requests without a token. `false`: they pass, without claims; a bad token is refused still. Default: true.
        required: bool,
        /// Where tokens are named that are no longer valid. Default: nowhere.
        revoked: Revoked,
    }
}

table! {
    /// Where tokens are named that are no longer valid. The list is watched, and kept while it cannot be reached; before it was read
    /// for the first time, requests with a token get 503.
    pub struct Revoked {
        /// Every key below the prefix is a token, or its `jti`.
        etcd: RevokedKeys = required,
    }
}

table! {
    /// Keys of etcd that name tokens.
    pub struct RevokedKeys {
        /// URLs of its members.
        endpoints: Vec<Item<String>> = required,
        /// The part of the key before the token, or its `jti`: `"/revoked-tokens/"`.
        prefix: String = required,
        /// Which API writes the keys: `"v3"`, or `"v2"`, whose keys etcd keeps apart (`--enable-v2`, up to 3.5): what python-etcd writes,
        /// and so the published `MicroFlack`. That API lists no keys that begin with `_`. Default: `"v3"`.
        api: EtcdApi,
    }
}

table! {
    /// A server that knows the client: it is sent a GET with the request's Cookie, Authorization, Host and X-Forwarded-*,
    /// X-Forwarded-Method and -Uri. If it does not answer within 5 s, the client gets 503, or, in a canary with a fallback, the
    /// monolith's answer.
    pub struct ForwardAuth {
        /// `http://host:port/path` or https.
        url: String = required,
        /// Headers of its answer that the service is given. What a client sends under these names is removed, on every route of a
        /// service that gets them on one. Default: none.
        headers: HeaderList,
        /// How long an answer 2xx is used again for the same credentials: a session that was ended may pass until then. `0`: not at
        /// all. Default: `"30s"`.
        cache: Limit<Duration>,
        /// Whether an answer holds for one method and address (`"request"`) or for all (`"credentials"`). Default: `"request"`.
        cache_by: CacheBy,
    }
}

table! {
    /// A server that exchanges what the client shows for what the service believes: it is sent a POST with the form field
    /// `subject_token`, and answers with JSON. If it does not, the service is not asked: in a canary with a fallback the monolith
    /// answers, else the client gets 503; a copy is not sent.
    pub struct TokenExchange {
        /// `http://host:port/path` or https.
        exchange: String = required,
        /// How long what came is used again, at most for its `expires_in`. `0`: not at all. Default: `"5m"`.
        cache: Limit<Duration>,
        /// The credential of the client: the first that is present of `header:NAME` and `cookie:NAME`. Of `header:authorization` the part
        /// behind `Bearer ` is sent. A request with none of them passes as it is, without the headers of `set`.
        from: OneOrMany<String> = required,
        /// Headers that the service is given; `{NAME}` is a field of the JSON answer. What a client sends under these names is removed.
        set: HeaderValues = required,
    }
}
