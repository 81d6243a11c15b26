//! Property 7: nothing secret in a log, an error page, a URL (codes aside) or a KV value in clear.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// So much of a secret is looked for; shorter ones are not secrets.
const WINDOW: usize = 16;

#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Every secret of a world, by its last characters.
pub struct Secrets {
    windows: HashMap<[u8; WINDOW], &'static str>,
    /// Which beginnings of windows there are: most of a text is no beginning, and need not be looked up.
    beginnings: Vec<bool>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self { windows: HashMap::new(), beginnings: vec![false; 1 << 16] }
    }
}

/// Of a window's first three characters.
fn beginning(window: &[u8]) -> usize {
    let byte = |place: usize| usize::from(window.get(place).copied().unwrap_or_default());
    (byte(0) | byte(1) << 5 | byte(2) << 10) & 0xffff
}

impl Secrets {
    pub fn add(&mut self, what: &'static str, text: &str) {
        if let Some(window) = text.as_bytes().last_chunk::<WINDOW>() {
            self.add_window(what, window);
        }
    }

    fn add_window(&mut self, what: &'static str, window: &[u8; WINDOW]) {
        if let Some(known) = self.beginnings.get_mut(beginning(window)) {
            *known = true;
        }
        self.windows.insert(*window, what);
    }

    /// Bytes, in whichever base64 and at whichever offset they come.
    pub fn add_bytes(&mut self, what: &'static str, bytes: &[u8]) {
        for encoded in [URL_SAFE_NO_PAD.encode(bytes), STANDARD_NO_PAD.encode(bytes)] {
            self.add(what, &encoded);
            // Not the ends, which depend on what stands beside.
            if let Some(middle) =
                encoded.as_bytes().get(encoded.len() / 2..).and_then(|half| half.first_chunk::<WINDOW>())
            {
                self.add_window(what, middle);
            }
        }
    }

    /// Which secret stands in a text, if any does.
    #[must_use]
    pub fn found_in(&self, text: &[u8]) -> Option<&'static str> {
        let may_be = |window: &&[u8]| self.beginnings.get(beginning(window)).copied().unwrap_or_default();
        let known = |window: &[u8]| self.windows.get(<&[u8; WINDOW]>::try_from(window).ok()?).copied();
        text.windows(WINDOW).filter(may_be).find_map(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_wherever_it_stands() {
        let mut secrets = Secrets::default();
        secrets.add("a token", "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJlIG9mIGEgdG9rZW4");
        assert_eq!(secrets.found_in(b"{\"token\":\"x.e30.c2lnbmF0dXJlIG9mIGEgdG9rZW4\"}"), Some("a token"));
        assert_eq!(secrets.found_in(b"{\"token\":\"eyJhbGciOiJFUzI1NiJ9.e30.another\"}"), None);
        secrets.add_bytes("a key", &[7; 48]);
        assert_eq!(secrets.found_in(base64url(&[7; 48]).as_bytes()), Some("a key"));
    }
}
