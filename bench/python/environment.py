"""What the figures depend on, beside the code."""

import os
import platform
import subprocess
import sysconfig
from pathlib import Path


def described() -> dict[str, str]:
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimized = "with PGO" if "--enable-optimizations" in options else "without PGO"
    profiled = bool(os.environ.get("WHEEL_PROFILE"))
    return {
        "wheel": "with PGO" if profiled else "without PGO",
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "cpython": f"{platform.python_version()} {optimized}",
        "rustc": rustc(),
    }


def processor() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    models = [line.split(": ")[1] for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def rustc() -> str:
    try:
        output = subprocess.run(["rustc", "--version"], stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        return "none here"
    return output.split()[1]


def text() -> str:
    return "; ".join(f"{name}: {value}" for name, value in described().items())
