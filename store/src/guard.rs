//! Which addresses may be asked when somebody else names them (12.5): for webhooks, and for bytes that are fetched.
//!
//! Whoever may name an address could have this server ask one that only this server reaches. So a [`Guard`] lets it ask
//! only addresses of the public internet, whatever name leads to them, and those of [`Networks`] that a setting lists. A
//! URL is checked when it is named, where its names are looked up as well, and at every connection: what a name leads to
//! is looked up once, all of it is checked, and the connection goes to what was checked, so that a name cannot lead
//! elsewhere a moment later. Redirects are not followed, and no proxy asks in our place.

mod address;
mod networks;

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tokio::time::timeout;
use url::{Host, Url};

pub use address::is_public;
pub use networks::{InvalidNetwork, Networks};

/// How long it may take to look a name up.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a URL is not asked. The text is for whoever named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a URL that can be asked.
    #[error("the URL is not http or https with a host")]
    Scheme,
    /// Credentials would be seen by all who see the URL.
    #[error("the URL holds credentials")]
    Credentials,
    /// It leads to an address that must not be asked.
    #[error("the URL leads to an address that is not of the public internet, or is one of the store's own")]
    Address,
}

/// Lets only those addresses be asked that may be. Clones share it.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

struct Inner {
    allowed: Networks,
    /// Names of hosts that the store itself uses, and the ports there.
    own_names: HashSet<(String, u16)>,
    /// Hosts that the store itself uses and that are numbers. A name must not lead there either; which port is asked is
    /// not known when it is looked up, so that none may be.
    own_addresses: HashSet<IpAddr>,
    lookup: Box<dyn Lookup>,
}

impl Guard {
    /// One that lets public addresses be asked, and those in `allowed`. `own` are the hosts and ports that the store
    /// itself uses, such as those of its log, its object stores and its API: they may not be asked. Of those that are
    /// numbers this holds for all ports, unless they lie in `allowed`.
    pub fn new(allowed: Networks, own: impl IntoIterator<Item = (String, u16)>) -> Self {
        Self::with_lookup(allowed, own, System)
    }

    fn with_lookup(allowed: Networks, own: impl IntoIterator<Item = (String, u16)>, lookup: impl Lookup) -> Self {
        let (mut own_names, mut own_addresses) = (HashSet::new(), HashSet::new());
        for (host, port) in own {
            match host.trim_matches(['[', ']']).parse::<IpAddr>() {
                Ok(address) => _ = own_addresses.insert(address.to_canonical()),
                Err(_) => _ = own_names.insert((bare(&host).to_ascii_lowercase(), port)),
            }
        }
        Self { inner: Arc::new(Inner { allowed, own_names, own_addresses, lookup: Box::new(lookup) }) }
    }

    /// Checks all of a URL that can be checked without looking its name up.
    ///
    /// # Errors
    /// When it must not be asked.
    pub fn check_url(&self, url: &Url) -> Result<(), Refused> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Credentials);
        }
        // Parsing has brought all spellings of a number to one form.
        let may_ask = match url.host().ok_or(Refused::Scheme)? {
            Host::Domain(name) => self.may_ask_name(bare(name), url.port_or_known_default()),
            Host::Ipv4(address) => self.may_ask(address.into()),
            Host::Ipv6(address) => self.may_ask(address.into()),
        };
        if may_ask { Ok(()) } else { Err(Refused::Address) }
    }

    /// Checks a URL that somebody names now, with what its name leads to. A name that leads nowhere yet is accepted: it
    /// is checked at every connection anyway.
    ///
    /// # Errors
    /// When it must not be asked.
    pub async fn check_resolved(&self, url: &Url) -> Result<(), Refused> {
        self.check_url(url)?;
        let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
        match self.look_up(name).await {
            Ok(_) | Err(NotResolved::Unknown(_) | NotResolved::TimedOut) => Ok(()),
            Err(NotResolved::Refused) => Err(Refused::Address),
        }
    }

    /// The beginning of a client whose every connection this guard checks. Hosts that are numbers are never looked up,
    /// so that they have to be checked with [`Guard::check_url`] before each request.
    pub fn client(&self) -> ClientBuilder {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may have been faster; then its provider is as good.
            rustls::crypto::ring::default_provider().install_default().ok();
        }
        // A proxy would ask in our place, and where it leads is not known.
        ClientBuilder::new().redirect(Policy::none()).no_proxy().dns_resolver(self.clone())
    }

    /// Whether an error of such a client is that of the guard.
    pub fn has_refused(error: &reqwest::Error) -> bool {
        std::iter::successors(error.source(), |&error| error.source())
            .any(|error| matches!(error.downcast_ref(), Some(NotResolved::Refused)))
    }

    /// All addresses that a name leads to, if all of them may be asked.
    async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, NotResolved> {
        let found = timeout(LOOKUP_TIMEOUT, self.inner.lookup.look_up(name)).await;
        let found = found.map_err(|_| NotResolved::TimedOut)?.map_err(NotResolved::Unknown)?;
        if found.iter().all(|&address| self.may_ask(address)) { Ok(found) } else { Err(NotResolved::Refused) }
    }

    fn may_ask(&self, address: IpAddr) -> bool {
        let own = || self.inner.own_addresses.contains(&address.to_canonical());
        self.inner.allowed.contains(address) || (is_public(address) && !own())
    }

    /// Whether a name may be asked as far as it alone tells.
    fn may_ask_name(&self, name: &str, port: Option<u16>) -> bool {
        let local = name == "localhost" || name.ends_with(".localhost");
        let own = port.is_some_and(|port| self.inner.own_names.contains(&(name.to_owned(), port)));
        !own && (!local || self.may_ask(Ipv4Addr::LOCALHOST.into()))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("allowed", &self.inner.allowed).finish_non_exhaustive()
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = guard.look_up(name.as_str()).await?;
            // The port is that of the URL.
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// A name without the dot that says that it is whole.
fn bare(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
enum NotResolved {
    #[error("the host leads to an address that must not be asked")]
    Refused,
    #[error("the host is not known")]
    Unknown(#[source] io::Error),
    #[error("nobody said in time where the host is")]
    TimedOut,
}

/// Looks names up.
trait Lookup: Send + Sync + 'static {
    fn look_up<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>>;
}

/// As this machine does it.
struct System;

impl Lookup for System {
    fn look_up<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|found| found.ip()).collect()) }.boxed()
    }
}

#[cfg(test)]
mod tests;
