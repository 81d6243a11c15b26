//! What a client asks for, in words: the scopes of OpenID Connect Core §5.4 and §11, the claims of §5.1 asked for one by
//! one (§5.5), and anything else by its own name.

use std::borrow::Cow;

/// One line of the consent page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentItem {
    pub icon: ConsentIcon,
    pub title: Cow<'static, str>,
    pub detail: Cow<'static, str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentIcon {
    Identity,
    Profile,
    Email,
    Address,
    Phone,
    Other,
    Offline,
}

/// What granting these scopes and these claims means, each thing once: who you are first, access in your absence last.
/// `claims` are names, without regard to whether `userinfo` or `id_token` is to have them.
#[must_use]
pub fn consent_items(scopes: &[&str], claims: &[&str]) -> Vec<ConsentItem> {
    use ConsentIcon::{Offline, Other, Profile};
    let known = SCOPES.iter().filter(|(scope, ..)| scopes.contains(scope));
    let mut items: Vec<ConsentItem> = known.map(|(_, icon, title, detail)| item(*icon, *title, *detail)).collect();
    let details = details(scopes, claims);
    if !details.is_empty() {
        items.push(item(Profile, "See these details", details.join(", ")));
    }
    let unknown =
        |scope: &&str| !matches!(*scope, "" | "offline_access") && SCOPES.iter().all(|(known, ..)| known != scope);
    for scope in once(scopes.iter().copied().filter(unknown)) {
        items.push(item(
            Other,
            format!("Use “{scope}”"),
            "Whoever runs this app can tell you what that permission means",
        ));
    }
    if scopes.contains(&"offline_access") {
        items.push(item(
            Offline,
            "Keep this access while you are away",
            "It stays connected when you are not using it, until its access expires or is taken away",
        ));
    }
    items
}

/// Core §5.4, in the order of the page.
const SCOPES: [(&str, ConsentIcon, &str, &str); 5] = [
    ("openid", ConsentIcon::Identity, "Recognise you", "By an identifier of your account, now and when you come back"),
    (
        "profile",
        ConsentIcon::Profile,
        "See your profile",
        "Name, username, picture, website, gender, date of birth, language and time zone, as far as they are filled in",
    ),
    ("email", ConsentIcon::Email, "See your email address", "And whether it has been verified"),
    ("phone", ConsentIcon::Phone, "See your phone number", "And whether it has been verified"),
    ("address", ConsentIcon::Address, "See your postal address", "Street, town, region, postal code and country"),
];

/// Claims of Core §5.1 and §2 in words, with the scope that covers each.
const CLAIMS: [(&str, &str, &str); 22] = [
    ("name", "profile", "your full name"),
    ("given_name", "profile", "your first name"),
    ("middle_name", "profile", "your middle name"),
    ("family_name", "profile", "your last name"),
    ("nickname", "profile", "your nickname"),
    ("preferred_username", "profile", "your username"),
    ("profile", "profile", "your profile page"),
    ("picture", "profile", "your picture"),
    ("website", "profile", "your website"),
    ("gender", "profile", "your gender"),
    ("birthdate", "profile", "your date of birth"),
    ("zoneinfo", "profile", "your time zone"),
    ("locale", "profile", "your language"),
    ("updated_at", "profile", "when your profile last changed"),
    ("email", "email", "your email address"),
    ("email_verified", "email", "whether your email address is verified"),
    ("phone_number", "phone", "your phone number"),
    ("phone_number_verified", "phone", "whether your phone number is verified"),
    ("address", "address", "your postal address"),
    ("auth_time", "", "when you signed in"),
    ("acr", "", "how you signed in"),
    ("amr", "", "how you signed in"),
];

/// The protocol's own, which every client gets anyway.
const NOT_ABOUT_THE_PERSON: [&str; 12] =
    ["", "sub", "iss", "aud", "exp", "iat", "nonce", "sid", "azp", "at_hash", "c_hash", "s_hash"];

fn item(icon: ConsentIcon, title: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> ConsentItem {
    ConsentItem { icon, title: title.into(), detail: detail.into() }
}

/// The claims that no granted scope covers, in the order asked; unknown ones by their names.
fn details(scopes: &[&str], claims: &[&str]) -> Vec<String> {
    let words = claims.iter().map(|claim| without_language(claim)).filter_map(|claim| {
        match CLAIMS.iter().find(|(name, ..)| *name == claim) {
            Some((_, scope, words)) => (!scopes.contains(scope)).then(|| (*words).to_owned()),
            None => (!NOT_ABOUT_THE_PERSON.contains(&claim)).then(|| format!("“{claim}”")),
        }
    });
    once(words)
}

/// Core §5.2: `name#de` asks for `name` in German.
fn without_language(claim: &str) -> &str {
    claim.split_once('#').map_or(claim, |(name, _)| name)
}

/// Each of them once, where it first came.
fn once<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    values.into_iter().fold(Vec::new(), |mut seen, value| {
        if !seen.contains(&value) {
            seen.push(value);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(scopes: &[&str], claims: &[&str]) -> Vec<String> {
        consent_items(scopes, claims).into_iter().map(|item| item.title.into_owned()).collect()
    }

    #[test]
    fn every_scope_has_words_and_access_in_absence_comes_last() {
        assert_eq!(
            titles(&["offline_access", "phone", "address", "email", "profile", "openid"], &[]),
            [
                "Recognise you",
                "See your profile",
                "See your email address",
                "See your phone number",
                "See your postal address",
                "Keep this access while you are away",
            ]
        );
    }

    #[test]
    fn an_unknown_scope_is_shown_by_its_name_once() {
        assert_eq!(titles(&["openid", "notes:read", "notes:read", ""], &[]), ["Recognise you", "Use “notes:read”"]);
    }

    #[test]
    fn claims_are_said_in_words_unless_a_scope_covers_them() {
        let items = consent_items(&["openid", "email"], &["name", "name#de", "email", "birthdate", "sub", "payroll"]);
        assert_eq!(items.last().unwrap().detail, "your full name, your date of birth, “payroll”");
        assert_eq!(titles(&["openid", "profile"], &["name", "sub"]), ["Recognise you", "See your profile"]);
    }
}
