"""Files for other schedulers: right by their schemas, and run by a shell as a container would, they name each trial."""

import json
import os
import subprocess

import jsonschema
import pytest
import test_campaign as local
import yaml
from harness import ROOT

from algoperf import commands
from algoperf.spec import UsageError
from campaign import benchmark, job_plan, options, plan_files

SCHEMAS = ROOT / "tests" / "helpers"


def written(tmp_path, **changes):
    """(jobs, what the files hold, what was said) of a plan."""
    found = local.campaign(tmp_path / "results", num_trials=2)
    jobs = job_plan.make_jobs(found)
    own = options.Options(
        **{
            "engine": "files",
            "engine_dir": str(tmp_path / "out"),
            "cpus_per_trial": 4,
            "gpus_per_trial": 1,
            "mem_per_trial": "16G",
            **changes,
        }
    )
    states = dict.fromkeys((job.key for job in jobs), local.State.WAITING)
    said = plan_files.write(own, tmp_path / "results", jobs, states)
    return jobs, tmp_path / "out", said


def check(document, schema):
    schema = json.loads((SCHEMAS / schema).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema)


def shell(tmp_path, *command, **environment):
    """What a program called python is given by a command, one call a line."""
    program = tmp_path / "bin" / "python"
    program.parent.mkdir(exist_ok=True)
    program.write_text('#!/bin/sh\nprintf "%s\\037" "$@"\nprintf "\\n"\n')
    program.chmod(0o755)
    path = f"{program.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command, env={"PATH": path, **environment}, capture_output=True, text=True, check=True
    )
    return [line.split("\x1f")[:-1] for line in done.stdout.splitlines()]


def in_image(job):
    """The arguments of a trial where this project is in /opt/algoperf."""
    return sorted(one.replace(f"={ROOT}/", "=/opt/algoperf/") for one in job.arguments)


def test_the_kubernetes_job_is_valid_and_each_of_its_pods_runs_one_trial(tmp_path):
    jobs, folder, said = written(tmp_path, image="registry.example/algoperf:1", volume="shared")
    assert "4 trials in" in said
    listed, job = yaml.safe_load_all((folder / "kubernetes.yaml").read_text())
    check(job, "kubernetes_job.schema.json")
    assert listed["kind"] == "ConfigMap"
    assert listed["metadata"]["name"] == job["spec"]["template"]["spec"]["volumes"][1]["configMap"]["name"]
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", 4, 4)
    assert pod["restartPolicy"] == "Never"
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == "shared"
    (container,) = pod["containers"]
    assert container["image"] == "registry.example/algoperf:1"
    assert container["volumeMounts"][0]["mountPath"] == str(tmp_path / "results")
    assert container["resources"]["limits"] == {"cpu": "4", "memory": "16384Mi", "nvidia.com/gpu": "1"}
    (tmp_path / "trials.txt").write_text(listed["data"]["trials.txt"])
    for index, one in enumerate(jobs):
        *sh, script = container["command"]
        script = script.replace("/plan/trials.txt", str(tmp_path / "trials.txt"))
        ((program, *arguments),) = shell(tmp_path, *sh, script, JOB_COMPLETION_INDEX=str(index))
        assert program == "/opt/algoperf/submission_runner.py"
        assert sorted(arguments) == in_image(one)


def test_the_nodes_of_the_skypilot_task_share_the_trials(tmp_path):
    jobs, folder, _ = written(tmp_path, workers=3)
    task = yaml.safe_load((folder / "skypilot.yaml").read_text())
    check(task, "skypilot_task.schema.json")
    assert task["num_nodes"] == 3
    assert task["volumes"] == {str(tmp_path / "results"): "algoperf"}
    assert task["resources"]["accelerators"] == {plan_files.skypilot.GPU: 1}
    for rank in range(3):
        calls = shell(
            tmp_path, "/bin/sh", "-c", task["run"], SKYPILOT_NUM_NODES="3", SKYPILOT_NODE_RANK=str(rank)
        )
        assert [sorted(arguments) for _, *arguments in calls] == [in_image(job) for job in jobs[rank::3]]


def test_the_list_of_commands_is_that_of_single_trials_here(tmp_path):
    jobs, folder, _ = written(tmp_path)
    lines = (folder / "commands.txt").read_text().splitlines()
    for job, line in zip(jobs, lines, strict=True):
        ((_, *arguments),) = shell(tmp_path, "/bin/sh", "-c", line)
        assert arguments == job.arguments


def test_an_installation_lists_commands_that_need_no_script(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    _, folder, _ = written(tmp_path)
    (first, *_) = (folder / "commands.txt").read_text().splitlines()
    assert first.startswith("python -P -m algoperf run --")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine_dir": None}, "--engine_dir=<folder>"),
        ({"volume": "shared:results"}, "with a path that begins with a slash"),
        ({"volume": "shared:/mnt/other"}, "--experiment_dir=.* would not be in the containers"),
        ({"mem_per_trial": "much"}, "--mem_per_trial=much is no size"),
        ({"detach": True}, "--detach is for --engine=slurm: --engine=files has"),
        ({"engine": "slurm"}, "--engine_dir is for --engine=files"),
        ({"engine": "slurm", "engine_dir": None, "slurm_time": "soon"}, "--slurm_time=soon is no time"),
        ({"engine": "slurm", "engine_dir": None, "slurm_extra": ("time=3",)}, "given by --slurm_time"),
        ({"engine": "slurm", "engine_dir": None, "slurm_extra": ("=3",)}, "give an option of sbatch"),
        ({"engine": "slurm", "engine_dir": None, "slurm_cluster": "lokal"}, "nearest is 'local'"),
    ],
)
def test_wrong_settings_of_schedulers_are_refused(tmp_path, changes, words):
    with pytest.raises(UsageError, match=words):
        written(tmp_path, **changes)


def test_the_command_writes_files_and_starts_nothing(tmp_path, capsys):
    found = local.campaign(tmp_path, num_trials=1)
    config = benchmark.Config(engine="files", engine_dir=str(tmp_path / "out"), trial_command=("false",))
    assert benchmark.run(found, config) == 0
    assert "2 trials in" in capsys.readouterr().out
    assert not list((tmp_path / ".campaign").glob("attempts/*"))
