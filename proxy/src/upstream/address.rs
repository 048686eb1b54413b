//! Where a provider is, and the addresses behind its name.
//!
//! A name is looked up by one call at a time, away from the workers. While an address is known, nobody waits for the
//! resolver: the one that is known serves until another one is found.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::RwLock;
use pingora::{protocols::l4::socket, upstreams::peer::HttpPeer};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// Scheme, host, port and the path below which a provider's API lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub tls: bool,
    /// Never empty.
    pub host: String,
    pub port: u16,
    /// Empty, or begins with `/` and does not end with one.
    pub prefix: String,
    /// The `host` header: the port only where it is not the scheme's own.
    pub authority: String,
}

/// How long a resolved address is used before the name is looked up again.
const KEPT: Duration = Duration::from_secs(30);
/// How long a resolver that failed is left alone.
const REST: Duration = Duration::from_secs(1);

/// The addresses behind one name.
pub(super) struct Addresses {
    name: (String, u16),
    /// How long a lookup may take.
    lookup_max: Duration,
    /// A peer with everything but its address.
    template: HttpPeer,
    known: RwLock<Known>,
    /// Held by whoever asks the resolver.
    asking: Mutex<()>,
    /// For the lookups that no call waits for.
    this: Weak<Addresses>,
}

struct Known {
    /// In the order in which they are tried, the one in use at `at`.
    addresses: Vec<SocketAddr>,
    at: usize,
    /// None while no address is known.
    peer: Option<Arc<HttpPeer>>,
    /// When the resolver is asked next.
    until: Option<Instant>,
}

impl Addresses {
    pub(super) fn new(base: &Base, lookup_max: Duration, template: HttpPeer) -> Arc<Self> {
        Arc::new_cyclic(|this| Addresses {
            name: (base.host.clone(), base.port),
            lookup_max,
            template,
            known: RwLock::new(Known { addresses: Vec::new(), at: 0, peer: None, until: None }),
            asking: Mutex::new(()),
            this: this.clone(),
        })
    }

    /// The address in use; none where the name does not resolve.
    pub(super) async fn peer(&self) -> Option<Arc<HttpPeer>> {
        let now = Instant::now();
        {
            let known = self.known.read();
            if known.is_fresh(now) {
                return known.peer.clone();
            }
            if let Some(peer) = &known.peer {
                self.look_up_aside();
                return Some(peer.clone());
            }
        }
        let _asking = self.asking.lock().await;
        if !self.known.read().is_fresh(Instant::now()) {
            self.look_up().await;
        }
        self.known.read().peer.clone()
    }

    /// `peer` took no connection: the name's next address is used from now on, if it has another.
    pub(super) fn failed(&self, peer: &Arc<HttpPeer>) {
        let mut known = self.known.write();
        if known.addresses.len() > 1 && known.peer.as_ref().is_some_and(|used| Arc::ptr_eq(used, peer)) {
            let next = (known.at + 1) % known.addresses.len();
            self.use_address(&mut known, next);
        }
    }

    fn look_up_aside(&self) {
        let Some(this) = self.this.upgrade() else { return };
        tokio::spawn(async move {
            // Somebody else asks already: what they find is for all.
            let Ok(_asking) = this.asking.try_lock() else { return };
            if !this.known.read().is_fresh(Instant::now()) {
                this.look_up().await;
            }
        });
    }

    async fn look_up(&self) {
        let lookup = tokio::net::lookup_host((self.name.0.as_str(), self.name.1));
        let found = match timeout(self.lookup_max, lookup).await {
            Ok(Ok(addresses)) => addresses.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        self.found(found, Instant::now());
    }

    /// Takes what a resolver has found. Nothing is no reason to forget an address that worked.
    fn found(&self, addresses: Vec<SocketAddr>, now: Instant) {
        let mut known = self.known.write();
        if addresses.is_empty() {
            known.until = Some(now + REST);
            return;
        }
        // One address as long as the name has it: connections are pooled by it.
        let in_use = known.addresses.get(known.at).copied();
        let at = addresses.iter().position(|address| Some(*address) == in_use);
        known.addresses = addresses;
        known.until = Some(now + KEPT);
        match at {
            Some(at) => known.at = at,
            None => self.use_address(&mut known, 0),
        }
    }

    fn use_address(&self, known: &mut Known, at: usize) {
        let mut peer = self.template.clone();
        peer._address = socket::SocketAddr::Inet(known.addresses[at]);
        known.at = at;
        known.peer = Some(Arc::new(peer));
    }
}

impl Known {
    fn is_fresh(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(host: &str) -> Arc<Addresses> {
        let base = Base { tls: false, host: host.into(), port: 80, prefix: String::new(), authority: host.into() };
        let template = HttpPeer::new(SocketAddr::from(([0, 0, 0, 0], 0)), false, String::new());
        Addresses::new(&base, Duration::from_secs(1), template)
    }

    fn at(last: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, last], 80))
    }

    fn used(addresses: &Addresses) -> Option<SocketAddr> {
        let peer = addresses.known.read().peer.clone()?;
        peer._address.as_inet().copied()
    }

    #[test]
    fn an_address_is_used_as_long_as_its_name_has_it() {
        let (addresses, now) = (addresses("a.test"), Instant::now());
        addresses.found(vec![at(1), at(2)], now);
        let first = addresses.known.read().peer.clone().unwrap();
        addresses.found(vec![at(3), at(1)], now);
        assert!(Arc::ptr_eq(&first, &addresses.known.read().peer.clone().unwrap()));
        addresses.found(vec![at(3), at(2)], now);
        assert_eq!(used(&addresses), Some(at(3)));
    }

    #[test]
    fn a_resolver_that_fails_takes_no_address_away_and_is_left_alone_for_a_while() {
        let (addresses, now) = (addresses("a.test"), Instant::now());
        addresses.found(Vec::new(), now);
        assert_eq!(used(&addresses), None);
        assert!(addresses.known.read().is_fresh(now) && !addresses.known.read().is_fresh(now + REST));
        addresses.found(vec![at(1)], now);
        addresses.found(Vec::new(), now + KEPT);
        assert_eq!(used(&addresses), Some(at(1)));
    }

    #[test]
    fn an_address_that_takes_no_connection_gives_way_to_the_next() {
        let addresses = addresses("a.test");
        addresses.found(vec![at(1), at(2)], Instant::now());
        let first = addresses.known.read().peer.clone().unwrap();
        addresses.failed(&first);
        assert_eq!(used(&addresses), Some(at(2)));
        addresses.failed(&first);
        assert_eq!(used(&addresses), Some(at(2)), "a failure of one that is not used any more says nothing");
        let second = addresses.known.read().peer.clone().unwrap();
        addresses.failed(&second);
        assert_eq!(used(&addresses), Some(at(1)));
    }

    #[tokio::test]
    async fn an_address_in_place_of_a_name_needs_no_resolver() {
        let addresses = addresses("127.0.0.1");
        let peer = addresses.peer().await.unwrap();
        assert_eq!(peer._address.as_inet(), Some(&at(1)));
        assert!(Arc::ptr_eq(&peer, &addresses.peer().await.unwrap()));
    }
}
