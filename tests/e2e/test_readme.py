"""What people copy: every piece of routes.toml in the README, the units and the container's build in packaging/."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from proxy import BINARY

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PACKAGING = ROOT / "packaging"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PIECES = [text for language, text in BLOCKS if language == "toml"]
DEBIANS = {"bookworm": "debian12", "trixie": "debian13"}
# What distroless/cc has.
LIBRARIES = {"linux-vdso.so.1", "libc.so.6", "libgcc_s.so.1", "libm.so.6"}


def completed(piece):
    """The piece in the smallest file that gives it everything it names."""
    tables = ['[server]\nlisten = ["0.0.0.0:8080"]\n'] if "[server]" not in piece else []
    tables += ['[monolith]\nurl = "http://127.0.0.1:3000"\n'] if "[monolith]" not in piece else []
    named = set(re.findall(r'^service\s*=\s*"(\w+)"', piece, re.MULTILINE))
    known = set(re.findall(r"^\[services\.(\w+)", piece, re.MULTILINE))
    tables += [f'[services.{name}]\nurl = "http://127.0.0.1:7001"\n' for name in sorted(named - known)]
    users = sorted(known - named)
    tables += [f'[routes.a-{name}]\npath = "/{name}"\nservice = "{name}"\nstage = "migrated"\n' for name in users]
    return piece + "".join(tables)


@pytest.mark.parametrize("piece", PIECES, ids=lambda piece: piece.split("]", 1)[0].strip("["))
def test_each_piece_of_routes_toml_is_right(piece, tmp_path):
    file = tmp_path / "routes.toml"
    file.write_text(completed(piece))
    said = subprocess.run([BINARY, "check", file], capture_output=True, text=True)
    # The certificates that it names are on nobody's machine yet.
    codes = set(re.findall(r"^(?:warning|error)\[([\w-]+)\]", said.stdout + said.stderr, re.MULTILINE))
    assert (said.returncode, codes - {"missing-file"}) == (0, set()), said.stdout + said.stderr



def test_systemd_understands_the_units(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if not analyze:
        pytest.skip("no systemd-analyze (apt-get install systemd)")
    files = []
    for name in ["multilith.service", "multilith.socket"]:
        files.append(tmp_path / name)
        files[-1].write_text((PACKAGING / name).read_text().replace("/usr/bin/multilith", BINARY))
    said = subprocess.run([analyze, "verify", "--man=no", *files], capture_output=True, text=True)
    ours = [line for line in said.stderr.splitlines() if "multilith" in line]
    assert (said.returncode, ours) == (0, [])


def test_the_file_of_the_package_is_right():
    said = subprocess.run([BINARY, "check", "--strict", PACKAGING / "routes.toml"], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr


def test_all_that_is_packed_is_there():
    deb = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["metadata"]["deb"]
    made = ("target/release/", "target/packaging/")
    missing = [source for source, *_ in deb["assets"] if not source.startswith(made) and not list(ROOT.glob(source))]
    assert missing == []


def test_the_program_needs_no_more_than_the_container_has():
    dockerfile = (PACKAGING / "Dockerfile").read_text()
    build, run = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert run == f"gcr.io/distroless/cc-{DEBIANS[build.removeprefix('rust:1-slim-')]}:nonroot", "two libcs"
    needed = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in needed.splitlines()}
    assert {name for name in names if "ld-linux" not in name} <= LIBRARIES
