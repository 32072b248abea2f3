"""A person in a real browser: logs in at the monolith, works in a page of a service, comes back, is still logged in."""

from browser import await_in
from selenium.webdriver.common.by import By
from test_coexistence import TABLES


def arrive(browser, url):
    await_in(browser, f"at {url}", lambda one: one.current_url == url)


def text(browser, name):
    return browser.find_element(By.ID, name).text


def log_in(browser, site):
    browser.get(site + "/admin/login/?next=/admin/")
    browser.find_element(By.NAME, "username").send_keys("admin")
    browser.find_element(By.NAME, "password").send_keys("admin")
    browser.find_element(By.CSS_SELECTOR, "input[type=submit]").click()
    arrive(browser, site + "/admin/")


def test_a_login_outlasts_a_walk_through_a_service(proxy, django, people, browser, report):
    edge = proxy(TABLES.format(django=django.port, people=people.port, stage="migrated"))
    log_in(browser, edge.url)
    browser.get(edge.url + "/people/7")
    assert (text(browser, "session"), text(browser, "visits")) == ("known", "1")
    browser.find_element(By.ID, "save").click()
    arrive(browser, edge.url + "/people/7?saved=yes")
    assert (text(browser, "session"), text(browser, "visits"), text(browser, "saved")) == ("known", "2", "yes")
    browser.find_element(By.ID, "leave").click()
    arrive(browser, edge.url + "/admin/")
    assert "ADMIN" in browser.find_element(By.ID, "user-tools").text.upper(), "no longer logged in"
    sides = [f'side="{side}"' for side in ("service", "monolith")]
    served = [line for line in edge.metrics().splitlines() if line.startswith("multilith_requests_total")]
    for side in sides:
        assert any(side in line and not line.endswith(" 0") for line in served), f"{side}: {served}"
    report("browser: logged in at the monolith, saved in the service, back at the monolith, still logged in")


def test_a_login_outlasts_the_move_of_the_page_and_its_roll_back(proxy, django, people, browser):
    def tables(stage):
        return TABLES.format(django=django.port, people=people.port, stage=stage)

    edge = proxy(tables("monolith"))
    log_in(browser, edge.url)
    for stage, title in (("migrated", "Person 7"), ("monolith", "Not Found"), ("migrated", "Person 7")):
        edge.reload(tables(stage))
        browser.get(edge.url + "/people/7")
        assert browser.title == title, stage
        browser.get(edge.url + "/admin/")
        assert "ADMIN" in browser.find_element(By.ID, "user-tools").text.upper(), f"logged out in stage {stage}"
