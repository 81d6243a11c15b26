//! A relying party.

use anyhow::{Context, Result, bail, ensure};
use openidconnect::core::{
    CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreIdTokenClaims, CoreRevocableToken, CoreTokenResponse,
};
use openidconnect::url::Url;
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, Nonce, OAuth2TokenResponse, PkceCodeChallenge, RedirectUrl, RefreshToken, RevocationUrl, Scope,
    TokenResponse,
};

use crate::deployment::Deployment;
use crate::http;

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

pub struct Party<'a> {
    pub client: Client,
    deployment: &'a Deployment,
}

/// What a sign-in gave, checked.
pub struct SignedIn {
    pub tokens: CoreTokenResponse,
    pub claims: CoreIdTokenClaims,
}

impl<'a> Party<'a> {
    pub fn new(deployment: &'a Deployment, id: ClientId, secret: Option<ClientSecret>) -> Result<Party<'a>> {
        let client = CoreClient::from_provider_metadata(deployment.metadata.clone(), id, secret)
            .set_redirect_uri(RedirectUrl::new(deployment.redirect_uri.clone())?);
        Ok(Party { client, deployment })
    }

    pub fn id(&self) -> &str {
        self.client.client_id().as_str()
    }

    pub fn sign_in(&self, cookies: Option<&str>) -> Result<SignedIn> {
        self.ask(cookies, None)
    }

    pub fn sign_in_silently(&self, cookies: &str) -> Result<SignedIn> {
        self.ask(Some(cookies), Some(CoreAuthPrompt::None))
    }

    /// The code flow with PKCE: signature, issuer, audience, times and nonce are checked by the crate's verifier, and `at_hash`
    /// as its documentation says.
    fn ask(&self, cookies: Option<&str>, prompt: Option<CoreAuthPrompt>) -> Result<SignedIn> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = self.client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        for scope in self.deployment.scope.split(' ').filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.to_owned()));
        }
        if let Some(prompt) = prompt {
            request = request.add_prompt(prompt);
        }
        let (to, state, nonce) = request.set_pkce_challenge(challenge).url();

        let left = self.deployment.visit(&to, cookies)?;
        if let Some(error) = parameter(&left, "error") {
            bail!("{error}");
        }
        ensure!(parameter(&left, "state").as_ref() == Some(state.secret()), "another state");
        ensure!(parameter(&left, "iss").as_ref() == Some(&self.deployment.issuer), "another iss");
        let code = AuthorizationCode::new(parameter(&left, "code").context("no code")?);

        let tokens = self.client.exchange_code(code)?.set_pkce_verifier(verifier).request(&http::call)?;
        let id_token = tokens.id_token().context("no ID token")?;
        let id_token_verifier = self.client.id_token_verifier();
        let claims = id_token.claims(&id_token_verifier, &nonce)?.clone();
        let (alg, key) = (id_token.signing_alg()?, id_token.signing_key(&id_token_verifier)?);
        let hash = AccessTokenHash::from_token(tokens.access_token(), alg, key)?;
        ensure!(claims.access_token_hash() == Some(&hash), "another at_hash");
        Ok(SignedIn { tokens, claims })
    }

    /// RFC 7009. The crate insists on https here, which the demo does not have; [`http::call`] puts http back.
    pub fn revoke(&self, deployment: &Deployment, token: &RefreshToken) -> Result<()> {
        let endpoint = deployment.endpoints().revocation_endpoint.as_str().replacen("http://", "https://", 1);
        let client = self.client.clone().set_revocation_url(RevocationUrl::new(endpoint)?);
        client.revoke_token(CoreRevocableToken::from(token))?.request(&http::call)?;
        Ok(())
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}
