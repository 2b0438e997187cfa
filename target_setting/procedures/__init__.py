"""The procedures of `set_targets.py`, one a file, found by their files; one more is one more file.

A file `<name>.py` holds everything of the procedure `<name>`. It declares

    \"\"\"Its line in --help, as a sentence.\"\"\"
    @dataclass(frozen=True, kw_only=True)
    class Options:              one field for each of its flags: type, literal default, docstring (the help)
    def analyse(selection: Selection, options: Options) -> Outcome      if it works on a stored sweep; or
    def start(common: Common, options: Options, how: Mapping[str, object]) -> int       if it starts trials
    READS_EVERY_WORKLOAD = True     if --workloads names less than it reads

and beside these what they need: the computation, `report` (its table), `content` (its JSON), `panels` (its pictures).
`Options` checks its values. A procedure that starts trials has the flags of `campaign.flags` too, and returns the exit
code. A flag of several procedures is one flag: each declares it, with the same type and default.

`target_setting.discovery` reads the declarations, without importing the files.
"""

LISTED_FIRST = (
    *("run", "targets", "calibration", "variants", "narrow"),
    *("optlist", "budgets", "degradation", "expected_best"),
)
"""Their order in --help, which is that of a sweep's use; others follow by name, and need no entry here."""
