"""Devices and edges: ten thousand rows stay quick, what waits comes first, what is shown once is shown once."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.console.conftest import Signed

pytestmark = pytest.mark.browser


def test_a_waiting_device_is_looked_at_and_becomes_an_asset(open_page: Signed) -> None:
    page = open_page("/devices")
    page.get_by_role("button", name="Look at esp-3fa2").click()
    dialog = page.get_by_role("dialog", name="esp-3fa2")
    expect(dialog).to_contain_text('{"kWh": 1532.25')
    expect(dialog).to_contain_text("0a ff 12 00 7c")
    expect(dialog.get_by_label("May publish to")).to_have_value(
        "meters/{device}/energy\nmeters/{device}/power\nmeters/{device}/raw"
    )
    dialog.get_by_label("Name").fill("meter-hall-2")
    dialog.get_by_label("Messages a second at most").fill("5")
    dialog.get_by_role("checkbox", name="Declare an asset for it").check()
    dialog.get_by_role("textbox", name="Stands below").fill("utilities")
    page.get_by_role("option", name="acme/suzhou/utilities", exact=True).click()
    dialog.get_by_role("textbox", name="Type").click()
    page.get_by_role("option", name="Energy meter · 6 points").click()
    expect(dialog.get_by_label("device", exact=True)).to_have_value("esp-3fa2")
    dialog.get_by_label("base").fill("x4")
    expect(dialog).to_contain_text("This is not a number.")
    dialog.get_by_label("base").fill("4")
    expect(dialog).to_contain_text("Becomes acme/suzhou/utilities/meter-hall-2")
    sent = []
    page.on("request", lambda request: sent.append(request.post_data_json) if "approve" in request.url else None)
    dialog.get_by_role("button", name="Approve").click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text("Wait to be let in: 1")).to_be_visible()
    assert sent[0]["name"] == "meter-hall-2" and sent[0]["messages_per_s"] == 5
    assert sent[0]["declare"] == {
        "path": "acme/suzhou/utilities/meter-hall-2",
        "type": "energy-meter",
        "connection": "shop-gateway",
        "parameters": {"device": "esp-3fa2", "base": 4},
    }


def test_ten_thousand_devices_are_scrolled_and_found_by_keyboard(open_page: Signed) -> None:
    page = open_page("/devices")
    table = page.get_by_role("table", name="Devices")
    expect(table.get_by_role("row").filter(has_text="meter-00000")).to_be_visible()
    assert table.get_attribute("aria-rowcount") == "10004"
    assert page.locator("[data-device]").count() < 80
    page.get_by_role("region", name="List of devices").evaluate("e => e.scrollTo(0, 400 * 36)")
    expect(table.get_by_role("row").filter(has_text="meter-00400")).to_be_visible()
    page.get_by_role("searchbox", name="Search by name").fill("hall meter-0999")
    expect(page.get_by_text("1 found")).to_be_visible()
    row = table.get_by_role("row").filter(has_text="meter-09996")
    row.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="meter-09996")).to_contain_text("acme/suzhou/utilities/meter-09996")
    assert "device=meter-09996" in page.url
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("1 found")).to_be_visible()


def test_states_are_told_by_shape_and_word(open_page: Signed) -> None:
    page = open_page("/devices?q=agv")
    expect(page.locator('[data-device="agv-1"] svg')).to_be_visible()
    expect(page.locator('[data-device="agv-1"]')).to_contain_text("Blocked")
    page.goto("/devices?q=meter-00003")
    expect(page.locator('[data-device="meter-00003"]')).to_contain_text("Offline")
    expect(page.locator('[data-device="meter-00003"] svg')).to_be_visible()
    page.goto("/devices?q=meter-00004")
    expect(page.locator('[data-device="meter-00004"]')).to_contain_text("Online")
    expect(page.locator('[data-device="meter-00004"] svg')).to_have_count(0)


def test_a_secret_is_shown_once(open_page: Signed) -> None:
    page = open_page("/devices")
    page.get_by_role("button", name="Add mosq-temp").click()
    dialog = page.get_by_role("dialog", name="Add a device")
    expect(dialog.get_by_label("Name")).to_have_value("mosq-temp")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("status", name="Password")).to_contain_text("hrd_7Hq2")
    expect(dialog).to_contain_text("devices/mosq-temp/#")
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.get_by_text("hrd_7Hq2")).to_have_count(0)
    page.get_by_role("button", name="Add a device").click()
    dialog.get_by_label("Name").fill("mosq-temp")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.get_by_role("alert")).to_contain_text("is in use")


def test_a_device_is_changed_rotated_and_blocked(open_page: Signed) -> None:
    page = open_page("/devices?device=meter-00012")
    dialog = page.get_by_role("dialog", name="meter-00012")
    expect(dialog).to_contain_text("340 refused")
    dialog.get_by_role("button", name="New secret", exact=True).click()
    expect(dialog.get_by_role("status")).to_contain_text("hrd_new2")
    expect(dialog).to_contain_text("The old one is good until this one is used.")
    dialog.get_by_role("button", name="Change").click()
    dialog.get_by_label("Name").fill("press-meter")
    dialog.get_by_role("button", name="Save").click()
    renamed = page.get_by_role("dialog", name="press-meter")
    renamed.get_by_role("button", name="Block").click()
    renamed.get_by_role("button", name="Really?").click()
    expect(renamed.get_by_role("button", name="Approve")).to_be_visible()
    expect(renamed).to_contain_text("Blocked")


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-3-3 SR 1.5")
def test_a_certificate_is_looked_at_renewed_and_revoked(open_page: Signed) -> None:
    page = open_page("/devices?device=meter-00013")
    section = page.get_by_role("dialog", name="meter-00013").get_by_role("region", name="Certificates")
    expect(section).to_contain_text("In use")
    expect(section.locator("b")).to_contain_text("ends")  # within a month
    section.get_by_role("button", name="Renew").click()
    section.get_by_label("Certificate request of the device").fill("what is this?")
    section.get_by_role("button", name="Sign").click()
    expect(section).to_contain_text("no certificate request")
    pem = "-----BEGIN CERTIFICATE REQUEST-----\nMIIB\n-----END CERTIFICATE REQUEST-----"
    section.get_by_label("Certificate request of the device").fill(pem)
    section.get_by_role("button", name="Sign").click()
    expect(section.get_by_role("status")).to_contain_text("BEGIN CERTIFICATE")
    section.get_by_role("button", name="Close").click()
    expect(section).to_contain_text("Not shown yet; the one before is good too")
    section.get_by_role("button", name="Revoke all").click()
    section.get_by_role("button", name="Really?").click()
    expect(section.get_by_text("Revoked · its key got out")).to_have_count(2)
    expect(section.get_by_role("button", name="Give it a certificate")).to_be_visible()


def test_certificates_in_chinese(open_page: Signed) -> None:
    page = open_page("/devices?device=meter-00013", language="zh")
    expect(page.get_by_role("dialog", name="meter-00013").get_by_role("region", name="证书")).to_contain_text("使用中")


def test_a_table_comes_in_and_its_secrets_go_out(open_page: Signed, tmp_path: Path) -> None:
    table = tmp_path / "devices.csv"
    table.write_text("name,note\na-1,\nbad/2,\na-3,\n")
    page = open_page("/devices")
    page.get_by_role("button", name="Import").click()
    dialog = page.get_by_role("dialog", name="Import devices")
    with page.expect_file_chooser() as chosen:
        dialog.get_by_role("button", name="File").click()
    chosen.value.set_files(table)
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_role("status")).to_contain_text("2 devices added")
    expect(dialog).to_contain_text("Row 3: 'bad/2' is no name of a device")
    with page.expect_download() as saved:
        dialog.get_by_role("button", name="Save 2 secrets").click()
    assert Path(saved.value.path()).read_text().startswith("name,secret\na-1,hrd_")


def test_edges_say_what_is_wrong_and_nothing_more(open_page: Signed) -> None:
    page = open_page("/edges")
    well, poor, gone = (page.locator(f'[data-edge="{name}"]') for name in ("suzhou", "wuxi", "kunshan"))
    expect(well).to_contain_text("Runs what it should, revision 14")
    expect(well).to_contain_text("40 devices, 38 connected")
    expect(well).to_contain_text("2 attempts turned away")
    expect(poor).not_to_contain_text("devices")
    expect(well.locator('[data-odd="true"]')).to_have_count(0)
    expect(poor).to_contain_text("Should run revision 15, runs 14")
    expect(poor).to_contain_text("there is no driver 'profinet'")
    expect(poor).to_contain_text("1 point of its connections left out")
    expect(poor.locator('[data-odd="true"]')).to_have_count(4)
    expect(gone).to_contain_text("Silent · last contact 26 min")
    expect(page.get_by_text("remote-plc")).to_contain_text("which nobody invited")
    expect(well.get_by_role("img", name="Latency of suzhou, last hour")).to_be_visible()
    well.get_by_role("link", name="Trend").click()
    expect(page.get_by_role("heading", name="Trends", level=1)).to_be_visible()
    assert "system%2Fedges%2Fsuzhou%2Flatency" in page.url or "system/edges/suzhou/latency" in page.url


def test_an_edge_is_invited_by_a_command_that_is_shown_once(open_page: Signed) -> None:
    page = open_page("/edges")
    page.get_by_role("button", name="Invite it").click()
    dialog = page.get_by_role("dialog", name="A token for an edge")
    expect(dialog.get_by_label("Name")).to_have_value("changzhou")
    dialog.get_by_role("textbox", name="Part of the plant").fill("suzhou")
    page.get_by_role("option", name="acme/suzhou", exact=True).click()
    dialog.get_by_role("button", name="Make the token").click()
    expect(dialog.get_by_role("status", name="Command")).to_contain_text(
        "headrace edge --hub 127.0.0.1:8472 --token hre_"
    )
    dialog.get_by_role("button", name="Close").last.click()
    expect(page.locator('[data-edge="changzhou"]')).to_contain_text("Its token is good until")
    expect(page.get_by_text("hre_")).to_have_count(0)


def test_an_edge_is_revoked_and_one_that_is_needed_is_not_removed(open_page: Signed) -> None:
    page = open_page("/edges")
    for name, button in (("kunshan", "Revoke"), ("wuxi", "Remove")):
        card = page.locator(f'[data-edge="{name}"]')
        card.get_by_role("button", name=button).click()
        card.get_by_role("button", name="Really?").click()
    expect(page.locator('[data-edge="kunshan"]')).to_contain_text("Revoked")
    expect(page.locator('[data-edge="wuxi"]').get_by_role("alert")).to_contain_text("declare it elsewhere first")


def test_an_operator_looks_and_changes_nothing(open_page: Signed) -> None:
    page = open_page("/devices?device=meter-00012", user="anna")
    expect(page.get_by_role("dialog", name="meter-00012").get_by_role("button")).to_have_count(1)
    page.goto("/edges")
    expect(page.locator('[data-edge="suzhou"]')).to_contain_text("Connected")
    expect(page.get_by_role("button", name="Revoke")).to_have_count(0)
    expect(page.get_by_role("button", name="Invite an edge")).to_have_count(0)
