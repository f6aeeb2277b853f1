"""Summary products: tables of the database as files.

Read `create.py` first, from the top: it says in which order everything else is used. Products of pipelines are made
from their declarations, which are handed in; no pipeline is imported here.
"""
