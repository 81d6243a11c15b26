//! The demo deployment: what its demo.json says, its metadata, and the person who uses it.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType,
    CoreSubjectIdentifierType,
};
use openidconnect::url::Url;
use openidconnect::{
    AdditionalProviderMetadata, ClientId, ClientSecret, IntrospectionUrl, IssuerUrl, LogoutProviderMetadata,
    ProviderMetadata, RevocationUrl,
};
use serde::{Deserialize, Serialize};

use crate::http;
use crate::party::Party;

/// The crate knows discovery's own members and those of sign-out; these come from RFC 8414.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Endpoints {
    pub introspection_endpoint: IntrospectionUrl,
    pub revocation_endpoint: RevocationUrl,
}

impl AdditionalProviderMetadata for Endpoints {}

pub type Metadata = ProviderMetadata<
    LogoutProviderMetadata<Endpoints>,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

pub struct Deployment {
    pub issuer: String,
    pub metadata: Metadata,
    pub redirect_uri: String,
    pub signed_out_uri: String,
    pub scope: String,
    demo: Demo,
    scratch: PathBuf,
}

/// demo.json.
#[derive(Deserialize)]
struct Demo {
    issuer: String,
    username: String,
    password: String,
    client_id: String,
    client_secret: String,
    public_client_id: String,
}

impl Deployment {
    pub fn from_environment() -> Result<Deployment> {
        let path = variable("DEMO_JSON")?;
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let demo: Demo = serde_json::from_str(&text)?;
        let metadata = Metadata::discover(&IssuerUrl::new(demo.issuer.clone())?, &http::call).context("discovery")?;
        Ok(Deployment {
            issuer: demo.issuer.clone(),
            metadata,
            redirect_uri: variable("REDIRECT_URI")?,
            signed_out_uri: variable("SIGNED_OUT_URI")?,
            scope: variable("SCOPE")?,
            demo,
            scratch: variable("SCRATCH")?.into(),
        })
    }

    pub fn endpoints(&self) -> &Endpoints {
        &self.metadata.additional_metadata().additional_metadata
    }

    pub fn confidential(&self) -> Result<Party<'_>> {
        let secret = ClientSecret::new(self.demo.client_secret.clone());
        self.party(ClientId::new(self.demo.client_id.clone()), Some(secret))
    }

    pub fn public(&self) -> Result<Party<'_>> {
        self.party(ClientId::new(self.demo.public_client_id.clone()), None)
    }

    pub fn party(&self, id: ClientId, secret: Option<ClientSecret>) -> Result<Party<'_>> {
        Party::new(self, id, secret)
    }

    /// The person's part: where the browser ends. With `cookies` the browser is one that comes back.
    pub fn visit(&self, url: &Url, cookies: Option<&str>) -> Result<Url> {
        let mut person = Command::new(variable("NODE")?);
        person.arg(variable("PERSON")?);
        if let Some(name) = cookies {
            person.arg("--cookies").arg(self.scratch.join(name));
        }
        let done = person.args([url.as_str(), &self.demo.username, &self.demo.password]).output()?;
        if !done.status.success() {
            bail!("{}", String::from_utf8_lossy(&done.stderr).trim());
        }
        Ok(Url::parse(String::from_utf8(done.stdout)?.trim())?)
    }
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
