"""Receivers of events: files, programs, services and pages, one in each module."""
