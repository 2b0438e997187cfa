"""What a campaign says of its referees, and the list of seals that it leaves."""

import json
import types

from refereed import write_refereed

from algoperf.run import summary as summaries
from campaign import refereed
from scoring import refereed as refereed_entries

NOTICED = [
    {"rule": "R3.19", "grade": "forbidden", "step": 3, "text": "It used 2 s."},
    {"rule": "R3.18", "grade": "for review", "step": 0, "text": "Set-up waited."},
]


def test_a_campaign_names_what_its_referees_noticed_and_leaves_their_seals(tmp_path):
    keys = [f"adam/study_{study}/digits_jax/trial_1" for study in range(3)]
    found = [write_refereed(tmp_path / key, [(1.0, 0.5)], findings=NOTICED) for key in keys[:2]]
    summaries.write(tmp_path / keys[2], summaries.Summary(status="failed"))
    jobs = [types.SimpleNamespace(key=key, folder=tmp_path / key) for key in keys]
    store = types.SimpleNamespace(summary=lambda job: summaries.read(job.folder))
    first, *others = refereed.lines(jobs, store)
    assert first == "  refereed: 2 of 3 trials that have ended"
    assert others == [
        f"  {kind}: 2 findings in {keys[0]}, {keys[1]}" for kind in refereed_entries.KIND_OF_GRADE.values()
    ]
    (line,) = refereed.sealed(tmp_path)
    assert "seals.json" in line
    assert json.loads((tmp_path / "seals.json").read_text()) == dict(zip(keys, found))
    assert refereed.lines(jobs[2:], store) == []
    assert refereed.sealed(tmp_path / "adam") == []
