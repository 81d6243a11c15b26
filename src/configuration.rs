//! A deployment's plain variables, read once an isolate: a changed variable comes with new isolates on both hosts.

use std::rc::Rc;

use crate::isolate::Isolate;
use crate::platform::{Platform, Variable};

/// Which endpoints this deployment serves (design.md §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    Public,
    Admin,
    All,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    pub surface: Surface,
    /// Whose keys sign; empty: the common ones.
    pub region: String,
    /// In lower case; on Spin behind a proxy, the header in which that says who its peer is. Workers know by themselves.
    pub client_address_header: Option<String>,
    /// Only under `cargo xtask dev --demo`.
    pub demo: bool,
    /// `(alias, host)` pairs.
    aliases: Vec<(String, String)>,
}

impl Configuration {
    /// What the isolate has read, or reads now.
    pub async fn of<P: Platform>(platform: &P, isolate: &Isolate) -> Rc<Self> {
        if let Some(configuration) = isolate.configuration() {
            return configuration;
        }
        let configuration = Rc::new(Self::read(platform).await);
        isolate.keep_configuration(&configuration);
        configuration
    }

    /// Anything but the known names of a surface serves the public one, which can do least.
    async fn read<P: Platform>(platform: &P) -> Self {
        let surface = match platform.variable(Variable::Surface).await.as_deref() {
            Some("admin") => Surface::Admin,
            Some("all") => Surface::All,
            _ => Surface::Public,
        };
        let aliases = platform.variable(Variable::HostAliases).await.unwrap_or_default();
        Self {
            surface,
            region: platform.variable(Variable::Region).await.unwrap_or_default(),
            client_address_header: platform
                .variable(Variable::ClientAddressHeader)
                .await
                .map(|name| name.trim().to_ascii_lowercase()),
            demo: platform.variable(Variable::Demo).await.as_deref() == Some("1"),
            aliases: aliases
                .split(',')
                .filter_map(|pair| pair.trim().split_once('='))
                .map(|(alias, host)| (alias.to_owned(), host.to_owned()))
                .collect(),
        }
    }

    /// The host that a host name stands for: itself, unless it is an alias.
    #[must_use]
    pub fn host<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.iter().find(|(alias, _)| alias == name).map_or(name, |(_, host)| host)
    }
}
