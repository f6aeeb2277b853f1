"""The deployment: settings, releases, Slurm profile and external programs."""
