//! What a connection says of itself, said by whoever stands around it.

/// For a type with a `stream` that reads and writes in its own way: everything else is the stream's. Nobody peeks: what was
/// read ahead would be passed over.
macro_rules! passes_on {
    ($around:ty) => {
        impl pingora::protocols::UniqueID for $around {
            fn id(&self) -> i32 {
                self.stream.id()
            }
        }

        impl pingora::protocols::Ssl for $around {
            fn get_ssl(&self) -> Option<&pingora::protocols::tls::TlsRef> {
                self.stream.get_ssl()
            }

            fn get_ssl_digest(&self) -> Option<std::sync::Arc<pingora::protocols::tls::SslDigest>> {
                self.stream.get_ssl_digest()
            }

            fn selected_alpn_proto(&self) -> Option<pingora::protocols::ALPN> {
                self.stream.selected_alpn_proto()
            }
        }

        impl pingora::protocols::GetTimingDigest for $around {
            fn get_timing_digest(&self) -> Vec<Option<pingora::protocols::TimingDigest>> {
                self.stream.get_timing_digest()
            }

            fn get_read_pending_time(&self) -> std::time::Duration {
                self.stream.get_read_pending_time()
            }

            fn get_write_pending_time(&self) -> std::time::Duration {
                self.stream.get_write_pending_time()
            }
        }

        impl pingora::protocols::GetProxyDigest for $around {
            fn get_proxy_digest(&self) -> Option<std::sync::Arc<pingora::protocols::raw_connect::ProxyDigest>> {
                self.stream.get_proxy_digest()
            }
        }

        impl pingora::protocols::GetSocketDigest for $around {
            fn get_socket_digest(&self) -> Option<std::sync::Arc<pingora::protocols::SocketDigest>> {
                self.stream.get_socket_digest()
            }
        }

        impl pingora::protocols::Peek for $around {}
    };
}

pub(crate) use passes_on;
