"""Tests of fastrf."""
