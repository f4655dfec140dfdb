//! Tests of the whole house; the test binaries are `it` and `e2e`.
