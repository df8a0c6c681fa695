//! The README's examples are compiled, and run, here: this package has all that they use.
#![cfg_attr(doctest, doc = include_str!("../README.md"))]
