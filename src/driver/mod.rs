//! The step loop, assignment, shutdown, watchdog, clock.
