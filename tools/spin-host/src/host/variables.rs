//! `spin:variables@3.0.0`: the component's own `[component.X.variables]` and no others.

use wasmtime::Result;
use wasmtime::component::Accessor;

use super::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use super::{Guest, SpinInterfaces};
use crate::manifest::check_variable_name;

impl Host for Guest {}

impl<T: Send> HostWithStore<T> for SpinInterfaces {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<Result<String, Error>> {
        if let Err(error) = check_variable_name(&name) {
            return Ok(Err(Error::InvalidName(error.to_string())));
        }
        let value = accessor.with(|mut access| access.get().grants.variables.get(&name).cloned());
        Ok(value.ok_or(Error::Undefined(name)))
    }
}
