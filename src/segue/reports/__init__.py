"""Scores to read: pages of one file, JSON, and the official result files."""

from segue.reports.files import comparison_values, evaluation_values, prepare, write_csv, write_json
from segue.reports.html import write_comparison, write_report

__all__ = [
    "comparison_values",
    "evaluation_values",
    "prepare",
    "write_comparison",
    "write_csv",
    "write_json",
    "write_report",
]
