//! Labelled synthetic traffic.
