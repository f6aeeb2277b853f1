"""Slurm: jobs, their text, and the talk with a cluster.

A job and its text are in `spec`, what is asked of a cluster in `client`, `command_line` and `queue`, what its answers mean in
`job_states` and `reasons`, what the environment asks for in `variables`, and how batches run on it in `slurm_backend` and
`batch_jobs`. Only the last two know what a batch is.
"""
