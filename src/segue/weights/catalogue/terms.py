"""Terms of the bundled weights."""

SEGUE_TERMS = "trained partly on research-only data; see the model card"
FREE = "MIT, and Apache-2.0 for the initial weights of the trunk; see the model card"
