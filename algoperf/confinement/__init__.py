"""Takes rights from a process and all that it will start, as a normal user of Linux can: see docs/referee.md."""
