"""A run as one HTML page."""

from keras_mothernets.reporting.html_report.write import report

__all__ = ["report"]
