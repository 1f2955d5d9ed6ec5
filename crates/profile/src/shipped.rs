//! The profiles that are part of Warren: the folder `profiles` of the repository.

macro_rules! shipped {
    ($($name:literal,)*) => {
        /// Names and texts.
        pub(crate) const PROFILES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../profiles/", $name, ".toml"))),)*
        ];
    };
}

shipped! {
    "agent",
    "build",
    "client",
    "install",
    "offline",
}
