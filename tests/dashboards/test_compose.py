"""compose.yaml mounts what is there, where Grafana and Prometheus look for it."""

import yaml

import board


def read(name):
    return yaml.safe_load((board.FOLDER / name).read_text())


def mounts(service):
    pairs = (volume.split(":") for volume in read("compose.yaml")["services"][service]["volumes"])
    return {inside: outside for outside, inside, *_ in pairs if outside.startswith("./")}


def test_every_mounted_file_exists():
    for service in ("prometheus", "grafana"):
        for outside in mounts(service).values():
            assert (board.FOLDER / outside).exists(), outside


def test_grafana_finds_every_dashboard_where_the_provider_looks():
    (provider,) = read("provisioning/dashboards/multilith.yaml")["providers"]
    path = provider["options"]["path"]
    assert {f"{path}/{name}.json" for name in board.NAMES} <= set(mounts("grafana"))
    assert mounts("grafana")["/etc/grafana/provisioning"] == "./provisioning"


def test_the_data_source_is_the_prometheus_of_the_same_file():
    (source,) = read("provisioning/datasources/multilith.yaml")["datasources"]
    assert source["type"] == "prometheus" and source["isDefault"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in read("compose.yaml")["services"]


def test_the_scrape_interval_is_told_to_grafana():
    (source,) = read("provisioning/datasources/multilith.yaml")["datasources"]
    assert source["jsonData"]["timeInterval"] == read("prometheus.yml")["global"]["scrape_interval"]


def test_nothing_is_open_to_the_network():
    for service in read("compose.yaml")["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
