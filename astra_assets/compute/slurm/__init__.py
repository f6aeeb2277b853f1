"""Slurm: jobs, their text, and the talk with a cluster.

What a job is is in `spec`, its text in `script`, what is asked of a cluster in `client`, `command_line` and `queue`, what its
answers mean in `states` and `reasons`, and how batches run on it in `backend`. Only the last knows what a batch is.
"""
