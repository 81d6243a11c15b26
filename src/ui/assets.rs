//! The style sheet, the one script and the favicon. Each name carries a hash of its content, so that a browser may keep
//! the file for ever and a deployment that changes it changes the name.

const STYLE: &[u8] = include_bytes!("assets/style.css");
const FORM_POST: &[u8] = include_bytes!("assets/form_post.js");
const FAVICON: &[u8] = include_bytes!("assets/favicon.svg");

const STYLE_NAME: Name<26> = Name::of("style-", STYLE, ".css");
const FORM_POST_NAME: Name<29> = Name::of("form_post-", FORM_POST, ".js");
const FAVICON_NAME: Name<28> = Name::of("favicon-", FAVICON, ".svg");

/// A file as it is sent. It never changes under its name: `Cache-Control: public, max-age=31536000, immutable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    pub content_type: &'static str,
    pub body: &'static [u8],
}

/// The file that pages ask for as `{base}/assets/{name}`.
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    match name {
        name if name == style() => Some(Asset { content_type: "text/css; charset=utf-8", body: STYLE }),
        name if name == form_post() => Some(Asset { content_type: "text/javascript; charset=utf-8", body: FORM_POST }),
        name if name == favicon() => Some(Asset { content_type: "image/svg+xml", body: FAVICON }),
        _ => None,
    }
}

pub(super) fn style() -> &'static str {
    STYLE_NAME.as_str()
}

pub(super) fn form_post() -> &'static str {
    FORM_POST_NAME.as_str()
}

pub(super) fn favicon() -> &'static str {
    FAVICON_NAME.as_str()
}

/// `stem`, 16 hexadecimal digits, `extension`: `N` bytes of ASCII, put together by the compiler.
struct Name<const N: usize>([u8; N]);

impl<const N: usize> Name<N> {
    const fn of(stem: &str, content: &[u8], extension: &str) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        assert!(stem.len() + 16 + extension.len() == N, "the length of the name is part of its type");
        let (hash, mut name, mut at) = (fnv1a(content), [0; N], 0);
        while at < N {
            name[at] = if at < stem.len() {
                stem.as_bytes()[at]
            } else if at < stem.len() + 16 {
                DIGITS[(hash >> (4 * (15 - (at - stem.len()))) & 15) as usize]
            } else {
                extension.as_bytes()[at - stem.len() - 16]
            };
            at += 1;
        }
        Self(name)
    }

    fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// FNV-1a with 64 bits. It tells one version from the next, which nobody attacks, and the compiler can compute it.
const fn fnv1a(content: &[u8]) -> u64 {
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325_u64, 0);
    while at < content.len() {
        hash = (hash ^ content[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_name_is_stem_hash_and_extension() {
        // The published test vector of FNV-1a 64 for "foobar".
        assert_eq!(Name::<26>::of("style-", b"foobar", ".css").as_str(), "style-85944171f73967e8.css");
    }

    #[test]
    fn an_asset_is_found_under_its_present_name_only() {
        assert_eq!(asset(style()).unwrap().body, STYLE);
        assert_eq!(asset(form_post()).unwrap().content_type, "text/javascript; charset=utf-8");
        assert_eq!(asset(favicon()).unwrap().content_type, "image/svg+xml");
        for name in ["", "style.css", "style-0000000000000000.css", "../style.css"] {
            assert_eq!(asset(name), None, "{name}");
        }
    }

    #[test]
    fn the_style_sheet_stays_under_8_kb_and_asks_for_nothing_from_outside() {
        assert!(STYLE.len() < 8 * 1024, "{} bytes", STYLE.len());
        let css = str::from_utf8(STYLE).unwrap();
        assert!(!css.contains("url(") && !css.contains("@import"));
    }

    /// WCAG 2.2: 4.5 for text (1.4.3), 3 for the edges of controls (1.4.11).
    #[test]
    fn colours_keep_wcag_aa_contrast_in_light_and_in_dark() {
        let css = str::from_utf8(STYLE).unwrap();
        let (light, dark) = css.split_once("@media (prefers-color-scheme: dark)").unwrap();
        for (scheme, css) in [("light", light), ("dark", dark)] {
            let colour: HashMap<&str, f64> = css
                .lines()
                .filter_map(|line| line.trim().strip_prefix("--")?.strip_suffix(';')?.split_once(": #"))
                .map(|(name, hex)| (name, luminance(hex)))
                .collect();
            let contrast = |a: &str, b: &str| {
                let (a, b) = (colour[a], colour[b]);
                (a.max(b) + 0.05) / (a.min(b) + 0.05)
            };
            for ground in ["page", "card", "tint"] {
                for text in ["ink", "soft", "act", "act-hover"] {
                    assert!(contrast(text, ground) >= 4.5, "{scheme}: {text} on {ground}: {}", contrast(text, ground));
                }
                assert!(contrast("edge", ground) >= 3.0, "{scheme}: edge on {ground}: {}", contrast("edge", ground));
            }
            for (text, ground) in [("act-ink", "act"), ("act-ink", "act-hover"), ("bad", "bad-tint"), ("bad", "card")] {
                assert!(contrast(text, ground) >= 4.5, "{scheme}: {text} on {ground}: {}", contrast(text, ground));
            }
        }
    }

    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }
}
