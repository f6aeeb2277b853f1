"""The files of a BOSS reduction: spAll and the headers of specFull files."""
