"""Certificates that are made when the tests run, by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Pair:
    """A certificate and its key, both in PEM."""

    cert: Path
    key: Path


def self_signed(folder, name):
    """A pair for this DNS name and for 127.0.0.1 that is its own authority."""
    pair = Pair(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"]
    # Without it openssl makes an authority, and rustls takes no authority for a server.
    command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run([*command, "-out", pair.cert, "-keyout", pair.key], check=True, capture_output=True)
    return pair
