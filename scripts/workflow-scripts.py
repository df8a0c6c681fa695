"""Checks the shell scripts of workflows: their syntax, and that the files they run exist."""

import os
import re
import subprocess
import sys

import ruamel.yaml


def main(files: list[str]) -> None:
    for file in files:
        with open(file, encoding="utf-8") as stream:
            workflow = ruamel.yaml.YAML(typ="safe").load(stream)
        for name, job in workflow["jobs"].items():
            needs = job.get("needs", [])
            for needed in [needs] if isinstance(needs, str) else needs:
                assert needed in workflow["jobs"], f"{file}: {name} needs {needed}"
            for step in job.get("steps", []):
                check(f"{file}: {name}", step.get("run", ""))


def check(place: str, script: str) -> None:
    # Expressions of GitHub stand for a word.
    script = re.sub(r"\$\{\{.*?\}\}", "expression", script)
    subprocess.run(["bash", "-n"], input=script, check=True, text=True)
    for program in re.findall(r"^\s*((?:\.ci|scripts)/[\w-]+)", script, re.MULTILINE):
        assert os.access(program, os.X_OK), f"{place}: there is no {program}"
    for target in re.findall(r"\bmake ([a-z][\w-]*)", script):
        with open("Makefile", encoding="utf-8") as makefile:
            targets = re.findall(r"^([\w-]+):", makefile.read(), re.MULTILINE)
        assert target in targets, f"{place}: there is no target {target}"


if __name__ == "__main__":
    main(sys.argv[1:])
