//! Host name and NIS domain: uts_namespaces(7).

use serde::{Deserialize, Serialize};

use crate::difference::{Fact, Facts};
use crate::lossy;

/// The names of a uts namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uts {
    /// Host name.
    pub hostname: String,
    /// NIS domain; `None` where none was ever set.
    pub domainname: Option<String>,
}

impl Uts {
    /// Those of the calling process: uname(2).
    pub(crate) fn own() -> Self {
        /// What the kernel says until somebody sets one.
        const NONE: &str = "(none)";
        let names = rustix::system::uname();
        let domain = lossy(names.domainname().to_bytes());
        Self {
            hostname: lossy(names.nodename().to_bytes()),
            domainname: (domain != NONE && !domain.is_empty()).then_some(domain),
        }
    }
}

impl Facts for Uts {
    fn facts(&self) -> Vec<Fact> {
        let name = Fact::new("hostname", "", &self.hostname);
        let domain = self.domainname.iter();
        let domain = domain.map(|domain| Fact::new("domainname", "", domain));
        std::iter::once(name).chain(domain).collect()
    }
}
