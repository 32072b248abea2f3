"""The manifests for Kubernetes: what its own schemas say of them, and what multilith says of the file in them."""

import os
import subprocess
from pathlib import Path

import kubernetes_validate
import yaml
from proxy import BINARY

MANIFESTS = Path(__file__).parent / "kubernetes" / "multilith.yaml"
# Kubernetes has no schema of what the Prometheus operator brings.
OPERATORS = {"ServiceMonitor"}


def documents():
    return {document["kind"]: document for document in yaml.safe_load_all(MANIFESTS.read_text())}


def test_the_manifests_are_what_kubernetes_takes():
    found = documents()
    assert set(found) == {"ServiceAccount", "ConfigMap", "Deployment", "Service", "PodDisruptionBudget", "ServiceMonitor"}
    for kind, document in found.items():
        if kind not in OPERATORS:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_parts_name_each_other():
    found = documents()
    pod = found["Deployment"]["spec"]["template"]
    labels = pod["metadata"]["labels"]
    for selector in (found["Deployment"]["spec"]["selector"]["matchLabels"], found["Service"]["spec"]["selector"],
                     found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"]):
        assert selector == labels
    assert found["ServiceMonitor"]["spec"]["selector"]["matchLabels"].items() <= found["Service"]["metadata"]["labels"].items()
    [container] = pod["spec"]["containers"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} <= ports
    assert {endpoint["port"] for endpoint in found["ServiceMonitor"]["spec"]["endpoints"]} <= {
        port["name"] for port in found["Service"]["spec"]["ports"]}
    volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes


def test_the_file_in_them_is_right(tmp_path):
    found = documents()
    text = found["ConfigMap"]["data"]["routes.toml"]
    file = tmp_path / "routes.toml"
    file.write_text(text)
    checked = subprocess.run([BINARY, "check", "--strict", str(file)], env={**os.environ, "POD_NAME": "multilith-0"},
                             capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    [container] = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/etc/multilith", "/etc/multilith-etcd", "/var/lib/multilith"} == mounted
    assert 'state_dir = "/var/lib/multilith"' in text and "/etc/multilith-etcd/ca.crt" in text
