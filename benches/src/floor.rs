//! The floor: a Pingora that forwards every request to one upstream, and does nothing else.

use std::{net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use pingora::{
    proxy::{ProxyHttp, Session, http_proxy_service},
    server::{Server, configuration::ServerConf},
    upstreams::peer::HttpPeer,
};

struct Floor {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Floor {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// Serves on `listen` with so many worker threads until the process is killed.
pub(crate) fn serve(listen: &str, upstream: SocketAddr, threads: usize) -> anyhow::Result<()> {
    let conf = ServerConf { threads, upstream_keepalive_pool_size: 256, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&Arc::clone(&server.configuration), Floor { upstream });
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
