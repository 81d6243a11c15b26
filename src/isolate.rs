//! What one isolate (Workers) or instance (Spin) may keep between requests: copies that say how old they are. Losing all of it
//! at any time changes nothing but speed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use crate::configuration::Configuration;
use crate::seal::KeyMaterial;
use crate::tenant::Tenant;

/// Tenants kept at most; beyond it the isolate starts over.
const TENANTS_KEPT: usize = 200;

#[derive(Default)]
pub struct Isolate {
    tenants: RefCell<HashMap<String, Rc<Tenant>>>,
    root: RefCell<Option<KeyMaterial>>,
    configuration: RefCell<Option<Rc<Configuration>>>,
}

impl Isolate {
    pub fn tenant(&self, locator: &str) -> Option<Rc<Tenant>> {
        self.tenants.borrow().get(locator).cloned()
    }

    pub fn keep_tenant(&self, tenant: &Rc<Tenant>) {
        let mut tenants = self.tenants.borrow_mut();
        if tenants.len() >= TENANTS_KEPT {
            tenants.clear();
        }
        tenants.insert(tenant.locator().to_owned(), tenant.clone());
    }

    pub fn forget_tenant(&self, locator: &str) {
        self.tenants.borrow_mut().remove(locator);
    }

    pub fn configuration(&self) -> Option<Rc<Configuration>> {
        self.configuration.borrow().clone()
    }

    pub fn keep_configuration(&self, configuration: &Rc<Configuration>) {
        *self.configuration.borrow_mut() = Some(configuration.clone());
    }

    pub fn root(&self) -> Option<KeyMaterial> {
        self.root.borrow().clone()
    }

    pub fn keep_root(&self, root: &KeyMaterial) {
        *self.root.borrow_mut() = Some(root.clone());
    }
}
