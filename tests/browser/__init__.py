"""Tests of the explorer's page in Chromium; left out where Playwright or Chromium is missing, see `conftest.py`."""
