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

pub(crate) fn text(name: &str) -> Option<&'static str> {
    let mut all = PROFILES.iter();
    all.find_map(|(known, text)| (*known == name).then_some(*text))
}
