//! How an object of config.json becomes a struct.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Declares the struct of an object: each field with the property that it is. Those
/// under `always` are written always, those under `sometimes` unless they have the
/// default of their type.
///
/// Reading is not derived: a derived struct takes an array for an object as well, and
/// refuses a property that is there twice, of which every runtime takes the last.
macro_rules! object {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $(always {
                $($(#[$always_about:meta])* $always:ident: $always_type:ty = $always_key:literal,)*
            })?
            $(sometimes {
                $($(#[$field_about:meta])* $field:ident: $type:ty = $key:literal,)*
            })?
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
        pub struct $name {
            $($(
                $(#[$always_about])*
                #[serde(rename = $always_key)]
                pub $always: $always_type,
            )*)?
            $($(
                $(#[$field_about])*
                #[serde(
                    rename = $key,
                    skip_serializing_if = "crate::config::object::is_default"
                )]
                pub $field: $type,
            )*)?
        }

        impl crate::config::object::Object for $name {
            fn read<'de, A: serde::de::MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match key {
                    $($($always_key => {
                        self.$always = crate::config::object::value(map)?;
                    })*)?
                    $($($key => {
                        self.$field = crate::config::object::value(map)?;
                    })*)?
                    _ => crate::config::object::ignore(map)?,
                }
                Ok(())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                crate::config::object::read(from)
            }
        }
    };
}

pub(crate) use object;

/// What is read property by property.
pub(crate) trait Object: Default {
    /// Takes the value of `key`.
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        key: &str,
        map: &mut A,
    ) -> Result<(), A::Error>;
}

pub(crate) fn read<'de, D: Deserializer<'de>, T: Object>(from: D) -> Result<T, D::Error> {
    from.deserialize_map(Reader(PhantomData))
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for Reader<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut object = T::default();
        while let Some(key) = map.next_key::<String>()? {
            object.read(&key, &mut map)?;
        }
        Ok(object)
    }
}

/// The next value; a `null` is the default.
pub(crate) fn value<'de, A: MapAccess<'de>, T: Default + Deserialize<'de>>(
    map: &mut A,
) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

pub(crate) fn ignore<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// Whether there is nothing to write.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
