"""Services for annotation tools: Label Studio, CVAT and X-AnyLabeling ask, segue answers.

Each module speaks one tool's protocol; what answers is :class:`segue_web.services.assistant.Assistant`.
"""
