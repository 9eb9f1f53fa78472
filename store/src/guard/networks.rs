//! Lists of networks, as settings have them.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of networks. In settings, a list of texts such as `127.0.0.0/8`, `fd00::/8` or `192.0.2.7`. Clones share it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks(Arc<[IpNet]>);

/// A text that is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network, such as 127.0.0.0/8, nor an address")]
pub struct InvalidNetwork(String);

impl Networks {
    /// All addresses that there are.
    pub fn all() -> Self {
        Self(Arc::new([Ipv4Net::default().into(), Ipv6Net::default().into()]))
    }

    /// Reads a list of networks and addresses.
    ///
    /// # Errors
    /// When one is neither.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, InvalidNetwork> {
        texts.into_iter().map(|text| network(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether an address lies in one of them. An IPv4 address that is written as an IPv6 one is that IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

fn network(text: &str) -> Result<IpNet, InvalidNetwork> {
    let network = IpNet::from_str(text).or_else(|_| IpAddr::from_str(text).map(IpNet::from));
    network.map_err(|_| InvalidNetwork(text.to_owned()))
}

impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(Vec::<String>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_network_holds_all_spellings_of_its_addresses_and_no_others() {
        let networks = Networks::parse(["127.0.0.0/8", "fd00::/8", "192.0.2.7"]).unwrap();
        for inside in ["127.0.0.1", "127.255.0.1", "::ffff:127.0.0.1", "fd12::1", "192.0.2.7", "::ffff:192.0.2.7"] {
            assert!(networks.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["128.0.0.1", "::1", "::ffff:10.0.0.1", "192.0.2.8", "fe80::1", "64:ff9b::7f00:1"] {
            assert!(!networks.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(Networks::all().contains("10.0.0.1".parse().unwrap()));
        assert!(Networks::all().contains("::1".parse().unwrap()));
        assert!(!Networks::default().contains("1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn what_is_not_a_network_is_named() {
        let invalid = Networks::parse(["127.0.0.0/8", "127.0.0.0/33"]).unwrap_err();
        assert!(invalid.to_string().contains("127.0.0.0/33"), "{invalid}");
        assert!(serde_json::from_str::<Networks>(r#"["10.0.0.0/8", "local"]"#).is_err());
        let networks: Networks = serde_json::from_str(r#"["10.0.0.0/8", "::1"]"#).unwrap();
        assert_eq!(serde_json::to_string(&networks).unwrap(), r#"["10.0.0.0/8","::1/128"]"#);
    }
}
