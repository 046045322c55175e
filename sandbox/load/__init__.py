"""Constant load on the service, and an account of what its clients saw."""

from sandbox.load.client import Load
from sandbox.load.plan import Plan
from sandbox.load.report import Report

__all__ = ["Load", "Plan", "Report"]
