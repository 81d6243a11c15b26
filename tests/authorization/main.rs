//! The authorization endpoint with its pages, from a request to the answer that the client gets.

#[path = "../support/mod.rs"]
mod support;

mod claims;
mod consent;
mod errors;
mod forms;
mod pages;
mod prompts;
mod responses;
mod sessions;
mod throttling;
