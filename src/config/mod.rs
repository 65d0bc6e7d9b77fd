//! The configuration: raw file form to checked settings, every problem at once.
