"""Services for annotation tools: Label Studio, CVAT and X-AnyLabeling."""
