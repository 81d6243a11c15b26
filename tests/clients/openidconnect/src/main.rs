//! The openidconnect crate against a demo deployment. Started by openidconnect.test.mjs, which says in the environment where
//! things are; prints `ok NAME` or `not ok NAME: WHY` for each behaviour.

mod deployment;
mod http;
mod party;

use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use openidconnect::core::{
    CoreApplicationType, CoreClientAuthMethod, CoreClientRegistrationRequest, CoreGrantType, CoreUserInfoClaims,
};
use openidconnect::registration::EmptyAdditionalClientMetadata;
use openidconnect::{
    ClientName, CsrfToken, LogoutRequest, Nonce, OAuth2TokenResponse, PostLogoutRedirectUrl, RedirectUrl,
    TokenIntrospectionResponse, TokenResponse,
};
use serde_json::json;

use crate::deployment::Deployment;
use crate::party::{Party, SignedIn};

type Behaviour = fn(&Deployment) -> Result<()>;

const BEHAVIOURS: [(&str, Behaviour); 9] = [
    ("discovery is accepted, with the endpoints that extensions add", discovery),
    ("a confidential client signs a person in, with PKCE and a verified ID token", |demo| {
        signs_in(&demo.confidential()?)
    }),
    ("a public client signs a person in, with PKCE and a verified ID token", |demo| signs_in(&demo.public()?)),
    ("UserInfo has the person's claims in their types", userinfo),
    ("a confidential client refreshes", |demo| refreshes(&demo.confidential()?)),
    ("a public client refreshes", |demo| refreshes(&demo.public()?)),
    ("a revoked grant is inactive and refreshes no more", introspects_and_revokes),
    ("a registered client signs a person in and manages its registration", registers),
    ("RP-initiated sign-out ends the session and comes back with its state", signs_out),
];

fn main() -> ExitCode {
    let deployment = match Deployment::from_environment() {
        Ok(deployment) => deployment,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut code = ExitCode::SUCCESS;
    for (name, behaviour) in BEHAVIOURS {
        match behaviour(&deployment) {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                println!("not ok {name}: {}", format!("{error:#}").replace('\n', " "));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}

fn discovery(demo: &Deployment) -> Result<()> {
    let metadata = &demo.metadata;
    ensure!(metadata.issuer().as_str() == demo.issuer, "issuer {}", metadata.issuer().as_str());
    ensure!(metadata.jwks().keys().len() >= 2, "keys {:?}", metadata.jwks().keys());
    ensure!(metadata.registration_endpoint().is_some(), "no registration endpoint");
    ensure!(metadata.additional_metadata().end_session_endpoint.is_some(), "no end_session endpoint");
    Ok(())
}

fn signs_in(party: &Party<'_>) -> Result<()> {
    let signed_in = party.sign_in(None)?;
    ensure!(signed_in.claims.audiences().iter().any(|audience| audience.as_str() == party.id()), "audience");
    let userinfo = userinfo_of(party, &signed_in)?;
    ensure!(userinfo.subject() == signed_in.claims.subject(), "another subject");
    Ok(())
}

fn userinfo(demo: &Deployment) -> Result<()> {
    let party = demo.confidential()?;
    let userinfo = userinfo_of(&party, &party.sign_in(None)?)?;
    let name = userinfo.name().and_then(|name| name.get(None)).map(|name| name.as_str());
    ensure!(name == Some("Alice Maria Example"), "name {name:?}");
    ensure!(userinfo.email().is_some_and(|email| email.as_str() == "alice@example.com"), "email");
    ensure!(userinfo.email_verified() == Some(true), "email_verified");
    ensure!(userinfo.phone_number().is_some_and(|number| number.as_str() == "+43155501234"), "phone_number");
    let address = userinfo.address().context("address")?;
    ensure!(address.postal_code.as_ref().is_some_and(|code| code.as_str() == "1010"), "postal_code");
    ensure!(userinfo.updated_at().is_some(), "updated_at");
    Ok(())
}

fn userinfo_of(party: &Party<'_>, signed_in: &SignedIn) -> Result<CoreUserInfoClaims> {
    let subject = signed_in.claims.subject().clone();
    Ok(party.client.user_info(signed_in.tokens.access_token().clone(), Some(subject))?.request(&http::call)?)
}

fn refreshes(party: &Party<'_>) -> Result<()> {
    let signed_in = party.sign_in(None)?;
    let token = signed_in.tokens.refresh_token().context("no refresh token")?;
    let refreshed = party.client.exchange_refresh_token(token)?.request(&http::call)?;
    ensure!(
        refreshed.refresh_token().is_some_and(|new| new.secret() != token.secret()),
        "the refresh token did not change"
    );
    let verifier = party.client.id_token_verifier();
    // Core §12.2: a refreshed ID token should have no nonce.
    let claims =
        refreshed.id_token().context("no ID token")?.claims(&verifier, |nonce: Option<&Nonce>| match nonce {
            None => Ok(()),
            Some(_) => Err("a nonce again".to_owned()),
        })?;
    ensure!(claims.subject() == signed_in.claims.subject(), "another subject");
    ensure!(claims.auth_time() == signed_in.claims.auth_time(), "another auth_time");
    Ok(())
}

fn introspects_and_revokes(demo: &Deployment) -> Result<()> {
    let party = demo.confidential()?;
    let signed_in = party.sign_in(None)?;
    let client = party.client.clone().set_introspection_url(demo.endpoints().introspection_endpoint.clone());
    let access_token = signed_in.tokens.access_token();
    let before = client.introspect(access_token).request(&http::call)?;
    ensure!(before.active(), "inactive from the beginning");
    ensure!(before.sub() == Some(signed_in.claims.subject().as_str()), "sub {:?}", before.sub());

    let refresh_token = signed_in.tokens.refresh_token().context("no refresh token")?;
    party.revoke(demo, refresh_token)?;
    ensure!(!client.introspect(access_token).request(&http::call)?.active(), "still active");
    ensure!(party.client.exchange_refresh_token(refresh_token)?.request(&http::call).is_err(), "still refreshes");
    Ok(())
}

fn registers(demo: &Deployment) -> Result<()> {
    let endpoint = demo.metadata.registration_endpoint().context("no registration endpoint")?;
    let redirect_uri = RedirectUrl::new(demo.redirect_uri.clone())?;
    let registered = CoreClientRegistrationRequest::new(vec![redirect_uri], EmptyAdditionalClientMetadata::default())
        .set_application_type(Some(CoreApplicationType::Web))
        .set_grant_types(Some(vec![CoreGrantType::AuthorizationCode, CoreGrantType::RefreshToken]))
        .set_token_endpoint_auth_method(Some(CoreClientAuthMethod::ClientSecretBasic))
        .set_client_name(Some(ClientName::new("Registered by openidconnect".to_owned()).into()))
        .register(endpoint, &http::call)?;
    signs_in(&demo.party(registered.client_id().clone(), registered.client_secret().cloned())?)?;

    let address = registered.registration_client_uri().context("no registration_client_uri")?.to_string();
    let token = registered.registration_access_token().context("no registration_access_token")?.secret();
    let read = http::json("GET", &address, token, None)?;
    ensure!(read.status == 200 && read.body["client_id"] == *registered.client_id().as_str(), "read {read:?}");
    let change = json!({
        "client_id": registered.client_id().as_str(),
        "redirect_uris": [demo.redirect_uri],
        "client_name": "Changed",
    });
    let updated = http::json("PUT", &address, token, Some(&change))?;
    ensure!(updated.status == 200 && updated.body["client_name"] == "Changed", "update {updated:?}");
    ensure!(http::json("DELETE", &address, token, None)?.status == 204, "delete");
    ensure!(http::json("GET", &address, token, None)?.status == 401, "still there");
    Ok(())
}

fn signs_out(demo: &Deployment) -> Result<()> {
    let party = demo.confidential()?;
    let signed_in = party.sign_in(Some("signs-out"))?;
    let endpoint =
        demo.metadata.additional_metadata().end_session_endpoint.clone().context("no end_session endpoint")?;
    let state = CsrfToken::new_random();
    let to = LogoutRequest::from(endpoint)
        .set_id_token_hint(signed_in.tokens.id_token().context("no ID token")?)
        .set_post_logout_redirect_uri(PostLogoutRedirectUrl::new(demo.signed_out_uri.clone())?)
        .set_state(state.clone())
        .http_get_url();
    let left = demo.visit(&to, Some("signs-out"))?;
    ensure!(left.as_str() == format!("{}?state={}", demo.signed_out_uri, state.secret()), "came back to {left}");
    match party.sign_in_silently("signs-out") {
        Err(error) if format!("{error:#}").contains("login_required") => Ok(()),
        Err(error) => Err(error),
        Ok(_) => bail!("the session is still there"),
    }
}
