//! A browser: cookies that come back, forms that are filled in.

use std::cell::RefCell;
use std::collections::BTreeMap;

use url::Url;
use vedette::http::Method;

use super::{Answer, Ask, Call, Deployment, User};

/// A person's browser at one host: its cookies, which go to every path.
pub struct Browser {
    pub deployment: Deployment,
    pub cookies: RefCell<BTreeMap<String, String>>,
}

/// The form on a page.
#[derive(Clone, Debug)]
pub struct Page {
    pub action: String,
    /// Its hidden fields.
    pub fields: Vec<(String, String)>,
    pub html: String,
}

impl Page {
    #[track_caller]
    #[must_use]
    pub fn of(answer: &Answer) -> Self {
        let html = answer.text().to_owned();
        let action = between(&html, "<form method=\"post\" action=\"", "\"");
        let action = action.unwrap_or_else(|| panic!("{} without a form: {html}", answer.status));
        let hidden = html.split("<input type=\"hidden\" ").skip(1);
        let fields = hidden
            .map(|input| {
                let attribute = |name: &str| between(input, &format!("{name}=\""), "\"").expect("a hidden field");
                (attribute("name"), attribute("value"))
            })
            .collect();
        Self { action, fields, html }
    }

    #[track_caller]
    #[must_use]
    pub fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no field {name}: {}", self.html), |(_, value)| value)
    }

    #[must_use]
    pub fn is_sign_in(&self) -> bool {
        self.action.ends_with("/sign-in")
    }

    #[must_use]
    pub fn is_consent(&self) -> bool {
        self.action.ends_with("/consent")
    }
}

impl Browser {
    #[must_use]
    pub fn new(deployment: &Deployment) -> Self {
        Self { deployment: deployment.clone(), cookies: RefCell::default() }
    }

    /// A browser with the same cookies, at another isolate or another tenant.
    #[must_use]
    pub fn at(&self, deployment: &Deployment) -> Self {
        Self { deployment: deployment.clone(), cookies: self.cookies.clone() }
    }

    /// A call as this browser makes it.
    #[must_use]
    pub fn dressed(&self, call: Call) -> Call {
        let cookies: Vec<String> =
            self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect();
        let call = call.for_a_page();
        if cookies.is_empty() { call } else { call.header("cookie", &cookies.join("; ")) }
    }

    /// Keeps the cookies of an answer.
    pub fn keep(&self, answer: &Answer) {
        let mut cookies = self.cookies.borrow_mut();
        for cookie in answer.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
            if cookie.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    pub fn send(&self, call: Call) -> Answer {
        let answer = self.deployment.send(self.dressed(call));
        self.keep(&answer);
        answer
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(self.deployment.get(path))
    }

    /// What the authorization endpoint answers first.
    pub fn ask(&self, ask: &Ask) -> Answer {
        self.get(&ask.path())
    }

    /// The call that posting a page's form is.
    #[must_use]
    pub fn submission(&self, page: &Page, fields: &[(&str, &str)]) -> Call {
        let hidden = page.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs: Vec<(&str, &str)> = hidden.chain(fields.iter().copied()).collect();
        let url = Url::parse(&self.deployment.issuer).and_then(|issuer| issuer.join(&page.action)).expect("a URL");
        Call::to(Method::Post, url.as_str()).form(&pairs)
    }

    pub fn submit(&self, page: &Page, fields: &[(&str, &str)]) -> Answer {
        self.send(self.submission(page, fields))
    }

    #[track_caller]
    pub fn sign_in(&self, page: &Answer, user: &User) -> Answer {
        let page = Page::of(page);
        assert!(page.is_sign_in(), "{}", page.html);
        self.submit(&page, &[("username", &user.username), ("password", &user.password)])
    }

    #[track_caller]
    pub fn consent(&self, page: &Answer, answer: &str) -> Answer {
        let page = Page::of(page);
        assert!(page.is_consent(), "{}", page.html);
        self.submit(&page, &[("answer", answer)])
    }

    /// Signs in and allows as far as the pages want it; answers what comes then.
    #[track_caller]
    pub fn complete(&self, ask: &Ask, user: &User) -> Answer {
        let mut answer = self.ask(ask);
        for _ in 0..2 {
            answer = match (answer.status, answer.text()) {
                (200, html) if html.contains("/sign-in\">") => self.sign_in(&answer, user),
                (200, html) if html.contains("/consent\">") => self.consent(&answer, "allow"),
                _ => break,
            };
        }
        answer
    }

    /// The code that comes of it.
    #[track_caller]
    #[must_use]
    pub fn code(&self, ask: &Ask, user: &User) -> String {
        let answer = self.complete(ask, user);
        let mut query = answer.query();
        query.remove("code").unwrap_or_else(|| panic!("no code: {query:?}"))
    }

    /// Name and value of the one cookie of that kind: `session` or `browser`.
    #[track_caller]
    #[must_use]
    pub fn cookie(&self, kind: &str) -> (String, String) {
        let cookies = self.cookies.borrow();
        let found = cookies.iter().find(|(name, _)| name.contains(&format!("-{kind}-")));
        found.map_or_else(|| panic!("no cookie {kind}"), |(name, value)| (name.clone(), value.clone()))
    }
}

/// The text between two others, its HTML escapes undone.
fn between(text: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = text.split_once(before)?;
    let (found, _) = rest.split_once(after)?;
    Some(unescaped(found))
}

fn unescaped(text: &str) -> String {
    let escapes = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'")];
    let text = escapes.iter().fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character));
    // Last, so that an escaped escape stays one.
    text.replace("&#38;", "&")
}
