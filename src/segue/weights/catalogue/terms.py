"""Terms of the weights that come with segue."""

SEGUE_TERMS = "see the model card; the training data are partly for research only"
FREE = "MIT, as segue, and Apache-2.0 for the trunk it started from; see the model card"
