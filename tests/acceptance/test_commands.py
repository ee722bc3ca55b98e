"""The commands, as a user types them: valid input works, and errors are reported."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from support.processes import eventually, waypost
from support.requests import alert, order

from waypost.config.instance import only_one


def test_a_bad_line_is_named_with_its_field_and_the_others_go(up):
    bad = order("A-2")
    del bad["data"]["order_id"]
    two = order("A-3", email="secret-person@a.example, other@b.example")
    done, summary = up.send("order-confirmation", order("A-1"), bad, two, order("A-4"))
    assert done.returncode == 1
    assert [(one["line"], one["reason"].split(":")[0]) for one in summary["rejected"]] == [
        (2, "data.order_id"),
        (3, "recipient.email"),
    ]
    assert summary["states"] == {"sent": 2}
    assert "secret-person" not in done.stdout + done.stderr


def test_a_line_that_is_not_json_is_named(up):
    file = up.home / "broken.jsonl"
    file.write_text(json.dumps(order("B-1")) + '\n{"recipient": \n\n')
    done, summary = up.send("order-confirmation", file=file)
    assert [one["line"] for one in summary["rejected"]] == [2]
    assert (done.returncode, summary["states"]) == (1, {"sent": 1})


def test_an_unknown_type_lists_those_there_are(up):
    done, _ = up.send("xyz", order("C-1"))
    assert done.returncode == 1
    listed = re.findall(r"[a-z-]+", done.stderr.partition("there are ")[2])
    assert {"alert", "digest", "message", "order-confirmation", "signup-verification"} <= {*listed}
    assert "Traceback" not in done.stderr


def test_explain_tells_the_way_through_the_fallback(up):
    up.send("order-confirmation", order("D-1", email="refused@b.example", phone="+15550100"))
    text = eventually(lambda: [p for p in up.folder.glob("*.json") if "D-1" in p.read_text()])[0]
    assert json.loads(text.read_text())["to"] == "+15550100"
    run = up.finished(up.trigger("order-confirmation", requests=[order("D-2", email="refused@c.example")]))
    of_the_run = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}}
    listed = httpx.post(f"{up.here.api}/artifacts/filter", json=of_the_run).json()
    [row] = json.loads(listed[0]["data"])
    told = json.loads(up.run("explain", row["Notification"], "--json").stdout)
    assert (told["state"], run["state"]["type"]) == ("failed", "FAILED")
    assert [(a["provider"], a["code"]) for a in told["attempts"]] == [("smtp", 550)]
    assert f"{up.here.ui}/runs/flow-run/{run['id']}" in {line["url"] for line in told["timeline"]}


def test_a_code_from_the_mail_verifies_once(up):
    signup = {"recipient": {"id": "new", "email": "new@a.example"},
              "data": {"product": "Harbour", "verify_url": "https://app.example/verify"}}  # fmt: skip
    up.send("signup-verification", signup)
    [mail] = up.mails("new@a.example")
    plain = mail.get_body(("plain",)).get_content()
    code = re.search(r"\b\d{6}\b", plain).group()
    assert code not in mail["Subject"]
    assert re.search(r"https://app\.example/verify\?token=\S+", plain)
    assert up.run("verify", "new", "x").returncode == 1
    assert "unknown client shop" in up.run("verify", "new", code, "--client", "shop").stderr
    assert up.run("verify", "new@a.example", code).returncode == 0
    assert json.loads(up.run("verify", "new", code, "--json").stdout) == {"result": "used"}


def test_repeated_alerts_are_one_mail_with_a_count(up):
    _, summary = up.send("alert", *(alert(to="flap", data={"summary": "Flapping"}) for _ in range(7)))
    assert (summary["accepted"], summary["grouped"]) == (1, 6)
    [mail] = up.mails("flap@a.example")
    assert "7" in mail.get_body(("plain",)).get_content()


def test_the_digest_is_one_mail_a_recipient_whoever_runs_it(up):
    waiting = [
        alert(to=to, digest=True, data={"summary": f"Wait {n}"}) for n in range(3) for to in ("d1", "d2")
    ]
    _, summary = up.send("alert", *waiting)
    assert summary["states"] == {"held": 6}
    runs = [up.trigger("digest") for _ in range(3)]
    assert {up.finished(run)["state"]["type"] for run in runs} == {"COMPLETED"}
    for to in ("d1", "d2"):
        [mail] = eventually(lambda to=to: up.mails(f"{to}@a.example"))
        assert all(f"Wait {n}" in mail.get_body(("plain",)).get_content() for n in range(3))


def test_what_waits_for_the_digest_is_told_with_its_time(up):
    waiting = [alert(to="later", digest=True)]
    found = eventually(lambda: up.send("alert", *waiting)[1]["next_digest"])
    assert found[11:19] == "08:00:00"
    file = up.home / "waits.jsonl"
    file.write_text(json.dumps(alert(to="last", digest=True)))
    assert "waits for the digest, which goes out at" in up.run("send", "alert", "--from", str(file)).stdout


def test_no_items_no_mail(up):
    assert up.finished(up.trigger("digest"))["state"]["type"] == "COMPLETED"  # with what waits
    before = len(up.mails())
    assert up.finished(up.trigger("digest"))["state"]["type"] == "COMPLETED"
    assert len(up.mails()) == before


def test_the_digest_is_scheduled_by_prefect(up):
    def upcoming():
        wanted = {
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "flows": {"name": {"any_": ["digest"]}},
        }
        return httpx.post(f"{up.here.api}/flow_runs/filter", json=wanted).json()

    assert {run["auto_scheduled"] for run in eventually(upcoming)} == {True}


def test_the_digests_schedule_is_the_uis_to_edit(up):
    def read():
        return httpx.get(f"{up.here.api}/deployments/name/digest/digest").json()

    deployment = read()
    [schedule] = deployment["schedules"]
    assert schedule["schedule"]["cron"] == "0 8 * * *"
    edited = {"schedule": {"cron": "30 6 * * 1", "timezone": "Europe/Paris"}}
    url = f"{up.here.api}/deployments/{deployment['id']}/schedules/{schedule['id']}"
    httpx.patch(url, json=edited).raise_for_status()
    assert up.run("deploy").returncode == 0
    assert [one["schedule"]["cron"] for one in read()["schedules"]] == ["30 6 * * 1"]


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (lambda r: r["data"].pop("order_id"), "requests[1].data"),
        (lambda r: r["recipient"].update(email="a@b.example, c@d.example"), "requests[1].recipient.email"),
        (lambda r: r["recipient"].update(name="two\nlines"), "requests[1].recipient.name"),
        (lambda r: r["data"]["lines"][0].update(quantity=0), "requests[1].data.lines[0].quantity"),
        (lambda r: r.update(recipient={}), "requests[1].recipient"),
        (lambda r: r.update(digest=True), "requests[1]"),
    ],
)
def test_prefect_refuses_a_bad_request_at_creation_naming_index_and_field(up, spoil, where):
    good, bad = order("E-1"), order("E-2")
    spoil(bad)
    before = len(up.mails())
    answer = up.trigger("order-confirmation", requests=[good, bad])
    assert answer.status_code == 409
    assert where in answer.text
    assert len(up.mails()) == before


def test_a_recipient_given_by_id_alone_is_looked_up(up):
    up.send("order-confirmation", order("F-1"))
    again = {**order("F-2"), "recipient": {"id": "r-F-1"}}
    up.finished(up.trigger("order-confirmation", requests=[again]))
    assert len(up.mails("rF-1@a.example")) == 2


@pytest.mark.long
def test_thirty_triggers_at_once_all_arrive_and_prefect_never_says_503(up):
    import concurrent.futures

    with concurrent.futures.ThreadPoolExecutor(30) as threads:
        created = list(
            threads.map(lambda n: up.trigger("order-confirmation", requests=[order(f"G-{n}")]), range(30))
        )
    assert {answer.status_code for answer in created} == {201}
    eventually(lambda: len([m for m in up.mails() if " G-" in f" {m['Subject']}"]) == 30)
    assert not re.search(r"\b503 Service|status code 503", (up.home / "up.log").read_text())


@pytest.mark.long
def test_a_paused_queue_is_named_by_the_commands_about_what_waits_for_it(up):
    queue = f"{up.here.api}/work_pools/waypost/queues/normal"
    httpx.patch(queue, json={"is_paused": True}, timeout=30).raise_for_status()
    why = "the work queue normal of the pool waypost is paused in Prefect"
    try:
        eventually(lambda: why in (up.home / "up.log").read_text())
        done, summary = up.send("order-confirmation", order("Q-1"))
        listed = up.run("list", "--state", "claimed", "--json")
        [waiting] = json.loads(listed.stdout)["notifications"]
        explained = json.loads(up.run("explain", waiting["id"], "--json").stdout)
        ill = json.loads(up.run("doctor", "--json").stdout)
    finally:
        httpx.patch(queue, json={"is_paused": False}, timeout=30).raise_for_status()
    assert done.returncode == 1
    assert summary["trouble"].startswith(why)
    assert why in listed.stderr
    assert explained["stopped"].startswith(why)
    assert [finding["found"] for finding in ill if not finding["ok"]] == [why]
    eventually(lambda: up.mails("rQ-1@a.example"))


def test_doctor_is_content_and_says_what_is_wrong_where_nothing_runs(up, tmp_path):
    well = up.run("doctor", "--json")
    assert well.returncode == 0, well.stdout
    assert all(finding["ok"] for finding in json.loads(well.stdout))
    ill = waypost(tmp_path / "elsewhere", "doctor", "--json")
    assert ill.returncode == 1
    wrong = {finding["what"]: finding["advice"] for finding in json.loads(ill.stdout) if not finding["ok"]}
    assert "waypost db upgrade" in wrong["ledger"]
    assert "waypost up" in wrong["prefect"]


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("WAYPOST_SMTP_URL", "smpt://user:hunter2@host", "WAYPOST_SMTP_URL"),
        ("WAYPOST_DATABASE_URL", "mysql://user:hunter2@host/x", "WAYPOST_DATABASE_URL"),
        ("WAYPOST_FALLBACK_URL", "nothing-known://hunter2", "WAYPOST_FALLBACK_URL"),
        ("WAYPOST_SENDER", "two@a.example, b@b.example\nBcc: x@y.example", "WAYPOST_SENDER"),
        ("WAYPOST_POLL_SECONDS", "hunter2", "WAYPOST_POLL_SECONDS"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not(up, setting, value, said):
    done = up.run("doctor", **{setting: value})
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert said in told
    assert "hunter2" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize("command", ["up", "worker", "dispatch", "doctor"])
def test_mail_from_an_examples_domain_to_a_server_elsewhere_ends_a_command_with_a_sentence(tmp_path, command):
    elsewhere = {"WAYPOST_SMTP_URL": "smtps://u:hunter2@192.0.2.1"}
    done = waypost(tmp_path / "home", command, PREFECT_API_URL="http://127.0.0.1:9/api", **elsewhere)
    told = done.stdout + done.stderr
    assert done.returncode == 1
    assert "its domain is an example; set WAYPOST_SENDER" in " ".join(told.split())
    assert "hunter2" not in told
    assert "Traceback" not in told


@pytest.mark.parametrize("command", ["worker", "dispatch", "list"])
def test_a_database_that_takes_no_connection_ends_a_command_with_a_sentence(tmp_path, command):
    nowhere = {"WAYPOST_DATABASE_URL": "postgresql://u:hunter2@127.0.0.1:9/mails"}
    done = waypost(tmp_path / "home", command, PREFECT_API_URL="http://127.0.0.1:9/api", **nowhere)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "waypost: the ledger's database mails at 127.0.0.1:9 refuses the connection (nothing listens there): "
        "start that server, create that database, or correct WAYPOST_DATABASE_URL"
    )
    assert "hunter2" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


OTHER_KEY = "the secret key is not the key of this ledger"


NEED_THE_KEY = [
    ["verify", "ada", "123456"],
    ["webhooks", "create", "shop", "https://shop.example/told"],
    ["gateway", "--port", "0"],
    ["worker"],
    ["dispatch"],
]


@pytest.mark.long
def test_with_another_key_than_the_ledgers_nothing_starts_until_it_is_changed_on_purpose(tmp_path):
    home = tmp_path / "home"
    first = {"WAYPOST_SECRET_KEY": "a key of sixteen or more", "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    second = {**first, "WAYPOST_SECRET_KEY": "another key of sixteen"}
    assert waypost(home, "db", "upgrade", **first).returncode == 0
    assert waypost(home, "keys", "create", "shop", **first).returncode == 0
    assert waypost(home, "verify", "ada", "123456", **first).returncode == 1
    for command in NEED_THE_KEY:
        refused = waypost(home, *command, **second)
        assert (command, refused.returncode, refused.stderr.count("\n")) == (command, 1, 1)
        assert OTHER_KEY in refused.stderr
    unasked = waypost(home, "db", "change-key", **second)
    assert "add --yes" in unasked.stderr
    with only_one(home):
        refused = waypost(home, "db", "change-key", "--yes", **second).stderr
    assert refused.endswith("stop it first\n")
    assert "WAYPOST_HOME" not in refused
    assert waypost(home, "db", "change-key", "--yes", **second).returncode == 0
    assert "nothing was changed" in waypost(home, "db", "change-key", **second).stdout
    assert OTHER_KEY not in waypost(home, "verify", "ada", "123456", **second).stderr
