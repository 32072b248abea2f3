"""promtool has nothing to say against the rules, and every alert fires and stays silent when it should."""

import subprocess

import yaml

import board


def promtool(*arguments):
    done = subprocess.run(["promtool", *arguments], cwd=board.FOLDER, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_checks_the_configuration_and_the_rules():
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_promtool_tests_the_rules():
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


def test_every_alert_has_a_case_in_which_it_fires():
    rules = yaml.safe_load((board.FOLDER / "alerts.yml").read_text())
    cases = yaml.safe_load((board.FOLDER / "alerts_test.yml").read_text())
    fires = {case["alertname"] for test in cases["tests"] for case in test.get("alert_rule_test", ()) if case["exp_alerts"]}
    assert fires == {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
