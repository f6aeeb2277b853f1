"""Tables to files: the rows and columns of a summary product, writing it, checking it, its checksum.

Pipelines are not imported: products of pipelines are made from their declarations, which are handed in.
Nothing is imported here.
"""
