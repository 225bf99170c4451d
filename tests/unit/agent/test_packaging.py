"""What each part may import: the Lambda's zip and the standard-library-only contract depend on it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

AGENT = Path(__file__).parents[3] / "agent"


def imported(code: str, *paths: str) -> set[str]:
    program = f"import sys\nsys.path[:0] = {list(paths)!r}\n{code}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    return set(done.stdout.splitlines())


def test_the_contract_needs_the_standard_library_only() -> None:
    modules = sorted(f"sd_agent.contract.{path.stem}" for path in (AGENT / "sd_agent" / "contract").glob("*.py"))
    loaded = imported("\n".join(f"import {name}" for name in modules if not name.endswith("__init__")))
    assert {name.partition(".")[0] for name in loaded} & {"botocore", "boto3", "urllib3", "orjson"} == set()


def test_the_lambda_runs_from_its_zip(tmp_path: Path) -> None:
    package = tmp_path / "intake.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for pattern in ("sd_agent/__init__.py", "sd_agent/contract/*.py", "sd_agent/intake/*.py"):
            for path in sorted(AGENT.glob(pattern)):
                archive.write(path, path.relative_to(AGENT))
    assert package.stat().st_size < 200_000
    loaded = imported(
        "import sd_agent.intake.handler as h\nassert 'intake.zip' in h.__file__\nassert callable(h.handler)",
        str(package),
    )
    assert not {name for name in loaded if name.startswith(("sd_agent.worker", "orjson", "boto3"))}


def test_the_sweep_runs_from_its_zip(tmp_path: Path) -> None:
    package = tmp_path / "sweep.zip"
    with zipfile.ZipFile(package, "w") as archive:
        for part in ("", "contract/", "intake/", "sweep/"):
            for path in sorted(AGENT.glob(f"sd_agent/{part}*.py")):
                archive.write(path, path.relative_to(AGENT))
    loaded = imported("import sd_agent.sweep.handler as h\nassert 'sweep.zip' in h.__file__", str(package))
    assert not {name for name in loaded if name.startswith(("sd_agent.worker", "orjson", "boto3"))}


def test_modules_stay_small() -> None:
    lines = {str(path.relative_to(AGENT)): len(path.read_text().splitlines()) for path in AGENT.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count >= 350} == {}
