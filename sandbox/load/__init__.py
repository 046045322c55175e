"""Constant load on the service, and an account of what its clients saw, and of what they were promised."""

from sandbox.load.client import Load
from sandbox.load.outages import Availability, Outage
from sandbox.load.plan import Plan
from sandbox.load.report import Report
from sandbox.load.writes import Acknowledged, ids_of, missing

__all__ = ["Acknowledged", "Availability", "Load", "Outage", "Plan", "Report", "ids_of", "missing"]
