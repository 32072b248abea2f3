"""What the README tells people to copy: every piece of routes.toml, the systemd units, what the container is built of."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from proxy import BINARY

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PIECES = [text for language, text in BLOCKS if language == "toml"]
UNITS = [text for language, text in BLOCKS if language == "ini"]
DEBIANS = {"bookworm": "debian12", "trixie": "debian13"}
# What distroless/cc has.
LIBRARIES = {"linux-vdso.so.1", "libc.so.6", "libgcc_s.so.1", "libm.so.6"}


def completed(piece):
    """The piece in the smallest file that gives it everything it names."""
    tables = ['[server]\nlisten = ["0.0.0.0:8080"]\n'] if "[server]" not in piece else []
    tables += ['[monolith]\nurl = "http://127.0.0.1:3000"\n'] if "[monolith]" not in piece else []
    named = set(re.findall(r'service\s*=\s*"(\w+)"', piece))
    known = set(re.findall(r"^\[services\.(\w+)", piece, re.MULTILINE))
    tables += [f'[services.{name}]\nurl = "http://127.0.0.1:7001"\n' for name in sorted(named - known)]
    users = sorted(known - named)
    tables += [f'[routes.a-{name}]\npath = "/{name}"\nservice = "{name}"\nstage = "migrated"\n' for name in users]
    return piece + "".join(tables)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.split("]", 1)[0].strip("["))
def test_each_piece_of_routes_toml_is_right(piece, tmp_path):
    file = tmp_path / "routes.toml"
    file.write_text(completed(piece))
    said = subprocess.run([BINARY, "check", "--strict", file], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr


def test_systemd_understands_the_units(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("no systemd-analyze (apt-get install systemd)")
    version = int(subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout.split()[1])
    files = []
    for unit in UNITS:
        name = re.match(r"# /etc/systemd/system/(\S+)\n", unit).group(1)
        if version < 253:
            # As the unit itself says.
            older = re.search(r"^# Before systemd 253 .*: (Type=\w+), and (ExecReload=.*)$", unit, re.MULTILINE)
            unit = unit.replace("Type=notify-reload", "\n".join(older.groups())) if older else unit
        files.append(tmp_path / name)
        files[-1].write_text(unit.replace("/usr/local/bin/multilith", BINARY))
    assert [file.name for file in files] == ["multilith.service", "multilith.socket"]
    said = subprocess.run([analyze, "verify", *files], capture_output=True, text=True)
    ours = [line for line in said.stderr.splitlines() if "multilith" in line]
    assert (said.returncode, ours) == (0, [])


def test_the_program_needs_no_more_than_the_container_has():
    (dockerfile,) = [text for language, text in BLOCKS if language == "dockerfile"]
    build, run = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert run == f"gcr.io/distroless/cc-{DEBIANS[build.removeprefix('rust:1-slim-')]}:nonroot", "two libcs"
    needed = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in needed.splitlines()}
    assert {name for name in names if "ld-linux" not in name} <= LIBRARIES
