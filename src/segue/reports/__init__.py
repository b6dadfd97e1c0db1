"""Scores to read: pages of one file, JSON, and the official result files."""

from typing import TYPE_CHECKING

from segue.utils.lazy import lazy_names

if TYPE_CHECKING:
    from segue.reports.files import comparison_values as comparison_values
    from segue.reports.files import evaluation_values as evaluation_values
    from segue.reports.files import write_csv as write_csv
    from segue.reports.files import write_json as write_json
    from segue.reports.html import write_comparison as write_comparison
    from segue.reports.html import write_report as write_report

_MODULES = {
    "segue.reports.files": "comparison_values evaluation_values write_csv write_json",
    "segue.reports.html": "write_comparison write_report",
}
"""Modules of the names; imported on first use to keep start-up short."""

__all__ = [
    "comparison_values",
    "evaluation_values",
    "write_comparison",
    "write_csv",
    "write_json",
    "write_report",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
