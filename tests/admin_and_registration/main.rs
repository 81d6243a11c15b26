//! Clients that register themselves, and operators who manage tenants, users and clients.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod clients;
mod registration;
mod tenants;
mod users;
