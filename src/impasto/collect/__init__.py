"""Gathers pictures from web sites, feeds and open collections: politely, safely, with their source.

A crawl reads pages and records, asks for the largest variant of each picture that they name, and
keeps those that pass the filters in one folder, beside a manifest of where each came from and what
may be done with it. It can be stopped at any point and goes on without fetching anew what has come.
"""
