//! The engine's world is broken on purpose, once per oracle, to show that each of them notices.
