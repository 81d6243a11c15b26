//! What the tests of the pages share: sample values, hostile values, and two questions to ask of any page.

use super::{ClientCard, Site};

pub(super) const SITE: Site = Site { name: "Acme ID", base: "/t/acme" };

pub(super) const CLIENT: ClientCard = ClientCard {
    name: "Fieldnotes",
    client_uri: Some("https://fieldnotes.example/"),
    logo_uri: Some("https://fieldnotes.example/logo.png"),
    policy_uri: Some("https://fieldnotes.example/privacy"),
    tos_uri: Some("https://fieldnotes.example/terms"),
};

pub(super) fn site(value: &str) -> Site<'_> {
    Site { name: value, base: value }
}

pub(super) fn client(value: &str) -> ClientCard<'_> {
    let url = Some(value);
    ClientCard { name: value, client_uri: url, logo_uri: url, policy_uri: url, tos_uri: url }
}

const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "x onmouseover=alert(1)",
    "</title></textarea></style><h1>x</h1>",
    "<!-- x",
    "{{ site.name }}{% raw %}&lt;script&gt;",
    "javascript:alert(1)//\"><script>",
    "https://x\"onload=\"alert(1)/\u{202e}\0\r\n",
];

/// Asks a page with each hostile value in all its places: whether it has the elements and attributes that it has with a
/// harmless value, no more and no fewer.
pub(super) fn assert_stays_text(page: impl Fn(&str) -> String) {
    let harmless = shape(&page("x"));
    for value in HOSTILE {
        let html = page(value);
        assert_eq!(shape(&html), harmless, "{value}\n{html}");
    }
}

/// Asks a page whether it keeps to its policy and can be used by everybody.
pub(super) fn assert_sound(html: &str) {
    let elements = elements(html);
    for (name, attributes) in &elements {
        assert!(name != "style", "inline style");
        assert!(name != "script" || attributes.iter().any(|(name, _)| name == "src"), "inline script");
        for (attribute, value) in attributes {
            assert!(!attribute.starts_with("on") && attribute != "style", "<{name} {attribute}>");
            if let ("for" | "aria-describedby" | "aria-labelledby", target) = (attribute.as_str(), value) {
                assert_eq!(html.matches(&format!(" id=\"{target}\"")).count(), 1, "{attribute}={target}");
            }
        }
    }
    assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{html}");
    assert_eq!(elements.iter().filter(|(name, _)| name == "h1").count(), 1, "{html}");
    assert_eq!(elements.iter().filter(|(name, _)| name == "main").count(), 1, "{html}");
    for name in ["form", "fieldset", "label", "button", "bdi", "ul", "li", "p", "a", "svg", "strong", "small", "code"] {
        let opened = elements.iter().filter(|(element, _)| element == name).count();
        assert_eq!(html.matches(&format!("</{name}>")).count(), opened, "<{name}> is closed\n{html}");
    }
}

/// Names of elements and attributes, without the values.
fn shape(html: &str) -> Vec<(String, Vec<String>)> {
    let names = |attributes: Vec<(String, String)>| attributes.into_iter().map(|(name, _)| name).collect();
    elements(html).into_iter().map(|(name, attributes)| (name, names(attributes))).collect()
}

type Element = (String, Vec<(String, String)>);

/// The start tags of a page, as a browser would find them: names, attributes, values in double quotes.
fn elements(html: &str) -> Vec<Element> {
    let (mut found, mut rest) = (Vec::new(), html);
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '!') {
            continue;
        }
        let (mut tag, mut quoted) = (String::new(), false);
        for c in rest.chars() {
            quoted ^= c == '"';
            if c == '>' && !quoted {
                break;
            }
            tag.push(c);
        }
        rest = &rest[tag.len()..];
        let (name, attributes) = tag.split_once(' ').unwrap_or((&tag, ""));
        found.push((name.to_owned(), attributes_of(attributes)));
    }
    found
}

fn attributes_of(tag: &str) -> Vec<(String, String)> {
    let (mut found, mut rest) = (Vec::new(), tag.trim());
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = "";
        if let Some(after) = rest.strip_prefix("=\"") {
            (value, rest) = after.split_once('"').unwrap();
        }
        found.push((name, value.to_owned()));
        rest = rest.trim_start();
    }
    found
}
