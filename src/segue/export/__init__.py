"""Export networks as ONNX graphs for programs without PyTorch."""

EXPORTED = "stcn-lite, stcn-lite-free, stcn, mustan-lite, mustan1 or mustan2"
"""Names of the models that can be exported, for messages."""
