//! What one isolate (Workers) or instance (Spin) may keep between requests: copies that say how old they are. Losing all of it
//! at any time changes nothing but speed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use crate::configuration::Configuration;
use crate::platform::UnixTime;
use crate::root::Roots;
use crate::tenant::Tenant;

/// Tenants kept at most; beyond it the isolate starts over.
const TENANTS_KEPT: usize = 200;
/// Seconds after which a set-up that has not left is taken for dead: a host may drop a request without another word.
const LONGEST_SET_UP: i64 = 60;

#[derive(Default)]
pub struct Isolate {
    tenants: RefCell<HashMap<String, Rc<Tenant>>>,
    misses: RefCell<Vec<String>>,
    roots: RefCell<Option<Rc<Roots>>>,
    configuration: RefCell<Option<Rc<Configuration>>>,
    set_up_until: Cell<UnixTime>,
    maintained_at: RefCell<HashMap<String, UnixTime>>,
    /// Whom to tell of every change to `tenants`.
    listener: Option<Box<dyn Fn()>>,
}

impl Isolate {
    /// With a host that keeps answers ([`crate::http::Reuse`]): all of them are to be forgotten whenever it is told.
    pub fn telling(listener: impl Fn() + 'static) -> Self {
        Self { listener: Some(Box::new(listener)), ..Self::default() }
    }

    pub fn tenant(&self, locator: &str) -> Option<Rc<Tenant>> {
        self.tenants.borrow().get(locator).cloned()
    }

    /// Unless a newer one is there: a read that began before a change may be answered after it.
    pub fn keep_tenant(&self, tenant: &Rc<Tenant>) {
        if self.tenant(tenant.locator()).is_some_and(|kept| kept.supersedes(tenant)) {
            return;
        }
        self.change_tenants(|tenants| {
            if tenants.len() >= TENANTS_KEPT {
                tenants.clear();
            }
            tenants.insert(tenant.locator().to_owned(), tenant.clone());
        });
    }

    /// Whether somebody looked for this tenant in vain; only for [`crate::plant::Plant::MissForever`], and never on a host.
    pub fn missed(&self, locator: &str) -> bool {
        self.misses.borrow().iter().any(|missed| missed == locator)
    }

    pub fn keep_miss(&self, locator: &str) {
        if crate::plant::planted(crate::plant::Plant::MissForever) {
            self.misses.borrow_mut().push(locator.to_owned());
        }
    }

    pub fn forget_tenant(&self, locator: &str) {
        self.change_tenants(|tenants| {
            tenants.remove(locator);
        });
    }

    /// The only way to change them, so that nobody can forget the listener.
    fn change_tenants(&self, change: impl FnOnce(&mut HashMap<String, Rc<Tenant>>)) {
        change(&mut self.tenants.borrow_mut());
        if let Some(listener) = &self.listener {
            listener();
        }
    }

    pub fn configuration(&self) -> Option<Rc<Configuration>> {
        self.configuration.borrow().clone()
    }

    pub fn keep_configuration(&self, configuration: &Rc<Configuration>) {
        *self.configuration.borrow_mut() = Some(configuration.clone());
    }

    pub fn roots(&self) -> Option<Rc<Roots>> {
        self.roots.borrow().clone()
    }

    pub fn keep_roots(&self, roots: &Rc<Roots>) {
        *self.roots.borrow_mut() = Some(roots.clone());
    }

    /// Whether this isolate has not yet begun maintenance of that tenant in the last so many seconds. It has now.
    #[must_use]
    pub fn begin_maintenance(&self, locator: &str, now: UnixTime, every: i64) -> bool {
        let mut begun = self.maintained_at.borrow_mut();
        if begun.get(locator).is_some_and(|at| now.since(*at).abs() < every) {
            return false;
        }
        if begun.len() >= TENANTS_KEPT {
            begun.clear();
        }
        begun.insert(locator.to_owned(), now);
        true
    }

    /// Lets one set-up at a time in, since each makes keys, which takes seconds where it is done in software. SQL decides who
    /// was first; this only keeps those who cannot be from computing for nothing.
    #[must_use]
    pub fn enter_set_up(self: &Rc<Self>, now: UnixTime) -> Option<SetUpTurn> {
        if now < self.set_up_until.get() {
            return None;
        }
        self.set_up_until.set(now.plus(LONGEST_SET_UP));
        Some(SetUpTurn(Rc::clone(self)))
    }
}

/// While it lives, no other set-up gets in.
pub struct SetUpTurn(Rc<Isolate>);

impl Drop for SetUpTurn {
    fn drop(&mut self) {
        self.0.set_up_until.set(UnixTime::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_set_up_at_a_time_gets_in_and_one_that_died_is_forgotten() {
        let isolate = Rc::new(Isolate::default());
        let first = isolate.enter_set_up(UnixTime(100)).unwrap();
        assert!(isolate.enter_set_up(UnixTime(100)).is_none());
        drop(first);
        let died = isolate.enter_set_up(UnixTime(101)).unwrap();
        std::mem::forget(died);
        assert!(isolate.enter_set_up(UnixTime(101 + LONGEST_SET_UP - 1)).is_none());
        assert!(isolate.enter_set_up(UnixTime(101 + LONGEST_SET_UP)).is_some());
    }
}
