"""What came of a run: how good, at what cost, as tables and as pictures."""

from keras_mothernets.reporting.drawing_hatching import plot_hatching
from keras_mothernets.reporting.drawing_network import plot_architecture
from keras_mothernets.reporting.html_report import report
from keras_mothernets.reporting.plots import check_picture, plot_error_against_time, plot_results
from keras_mothernets.reporting.proposals import plot_proposals
from keras_mothernets.reporting.quality import Quality, measure_quality, quality_of
from keras_mothernets.reporting.result import Result, member_table, result_of, time_table

__all__ = [
    "Quality",
    "Result",
    "check_picture",
    "measure_quality",
    "member_table",
    "plot_architecture",
    "plot_error_against_time",
    "plot_hatching",
    "plot_proposals",
    "plot_results",
    "quality_of",
    "report",
    "result_of",
    "time_table",
]
