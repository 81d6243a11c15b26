//! What the native tests share: a deployment that was set up as an operator sets one up, calls to it and their answers, people
//! and clients in it, a browser, and readers of tokens. Everything goes through [`vedette::handle`], so a test sees what a
//! client would see.

#![allow(dead_code, unused_imports, reason = "each test binary uses another part of it")]

mod browser;
mod call;
mod client;
mod deployment;
mod jwt;
mod user;

pub use browser::{Browser, Page};
pub use call::{Answer, Call, get, parameters, post};
pub use client::{Ask, CHALLENGE, Client, REDIRECT_URI, Tokens, VERIFIER, metadata};
pub use deployment::{Deployment, ISSUER, PASSWORD, ROOT_SECRET, USERNAME};
pub use jwt::{claims_of, header_of, verifies};
pub use user::{User, every_claim};
