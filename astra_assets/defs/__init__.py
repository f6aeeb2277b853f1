"""Every Dagster noun: assets, checks, jobs, schedules, sensors, resources, executors, the end of runs, the console."""
