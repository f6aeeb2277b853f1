"""The physics that white-dwarf pipelines share: model grid, lines, the fit of Balmer lines.

No pipeline is declared here.
"""
