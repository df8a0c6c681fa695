//! The Rust examples of the README and of `docs/` are compiled, and run, here: this package has all
//! that they use. A test of the Python package checks that no page with Rust is missing.

/// The pages with Rust examples.
macro_rules! pages {
    ($($name:ident: $file:literal,)*) => {
        $(#[cfg(doctest)] #[doc = include_str!($file)] mod $name {})*
    };
}

pages! {
    actix_web: "../docs/actix-web.md",
    axum: "../docs/axum.md",
    measurements: "../docs/measurements.md",
    readme: "../README.md",
    requests: "../docs/requests.md",
    rust: "../docs/rust.md",
    status: "../docs/status.md",
    testing: "../docs/testing.md",
    tonic: "../docs/tonic.md",
}
