"""Makes the pictures of the documents: a mail, the preview, `waypost explain`, and pages of the Prefect UI.

`make pictures` starts everything, sends the samples of the demo, and photographs the pages with chromium. A
second installation, whose mail server is away, shows an outage.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.text import Text

from support.browser import Page, browser
from support.processes import REPOSITORY, Up, command, environment, eventually, start
from support.requests import alert, order

PICTURES = REPOSITORY / "docs" / "pictures"
SAMPLES = REPOSITORY / "waypost" / "demo" / "orders.jsonl"
WIDE, NARROW = 1250, 400  # pixels
SETTLES_SECONDS = 2.5  # the Prefect UI draws its graphs some time after its texts
NOBODY = "smtp://127.0.0.1:9"  # no mail server


def main(folder: Path = PICTURES) -> None:
    """Write the pictures to `folder`."""
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as made, browser() as page:
        camera = Camera(page, folder)
        of_the_preview(Camera(page, folder))
        _with_up(Path(made) / "home", lambda up: _of_a_day(up, camera))
        _with_up(Path(made) / "away", lambda up: _of_an_outage(up, camera), WAYPOST_SMTP_URL=NOBODY)


class Camera:
    """Photographs pages of the browser."""

    def __init__(self, page: Page, folder: Path) -> None:
        self.page, self.folder = page, folder

    def take(self, url: str, name: str, height: int, *shown: str, width: int = WIDE) -> None:
        """Photograph the page once it shows each of the words."""
        self.page.open(url, width, height)
        for words in shown:
            self.page.wait(f"document.body.innerText.includes({json.dumps(words)})")
        time.sleep(SETTLES_SECONDS)
        self.page.picture(self.folder / name)


def of_the_preview(camera: Camera) -> None:
    """The preview's page, and a picture that it writes."""
    with tempfile.TemporaryDirectory() as made:
        run = command("preview", "order-confirmation", "--locale", "de")
        env = environment(Path(made) / "home")
        subprocess.run([*run, "--png", made], env=env, cwd=REPOSITORY, check=True)
        shutil.copyfile(Path(made) / "order-confirmation-de-375-dark.png", camera.folder / "preview-dark.png")
        page = subprocess.Popen(
            [*run, "--port=0"], env=env, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        )
        assert page.stdout
        address = re.findall(r"http[^;\s]+", page.stdout.readline())[0]
        camera.take(address, "preview.png", 900, "Bestellung 1042")
        page.terminate()
        page.wait(30)


def _with_up(home: Path, use: Any, **settings: str) -> None:
    up = start(home, **settings)
    try:
        use(up)
    finally:
        up.stop()


def _of_a_day(up: Up, camera: Camera) -> None:
    _, summary = up.send("order-confirmation", file=SAMPLES)
    _, partly = up.send("order-confirmation", order("1051"), order("1052", email="refused@a.example"))
    up.send("alert", *(alert(to=f"ops-{n}", data={"summary": "Disk almost full"}) for n in range(3)))
    _mail(up, camera)
    _explain(up)
    ui, failed = up.here.ui, partly["flow_runs"][0]
    camera.take(f"{ui}/runs/flow-run/{summary['flow_runs'][0]}", "run.png", 800, "Completed", "report:")
    camera.take(f"{ui}/runs/flow-run/{failed}", "partly-failed.png", 800, "PartlyFailed", "report:")
    camera.take(f"{ui}/runs", "runs.png", 900, "PartlyFailed")
    wanted = {"artifacts": {"flow_run_id": {"any_": [failed]}}}
    [artifact] = httpx.post(f"{up.here.api}/artifacts/filter", json=wanted, timeout=30).json()
    camera.take(f"{ui}/artifacts/artifact/{artifact['id']}", "table.png", 900, "Attempt")
    camera.take(f"{ui}/deployments", "deployments.png", 700, "signup-verification")
    deployed = httpx.get(f"{up.here.api}/deployments/name/alert/alert", timeout=30).json()["id"]
    camera.take(f"{ui}/deployments/deployment/{deployed}?tab=Description", "deployment.png", 900, "Route")
    given = quote(json.dumps({"requests": [{"recipient": {}, "data": {}}]}))
    camera.take(f"{ui}/deployments/deployment/{deployed}/run?parameters={given}", "form.png", 1400, "Email")


def _of_an_outage(up: Up, camera: Camera) -> None:
    for number in range(4):
        up.run("send", "order-confirmation", "--from", _file(up, order(f"{number}")), "--no-wait")
        time.sleep(4)
    wanted = {"artifacts": {"key": {"any_": ["waypost"]}}}
    [shown] = eventually(lambda: [one for one in _found(up, wanted) if "could not be reached" in one["data"]])
    page = f"{up.here.ui}/artifacts/artifact/{shown['id']}"
    camera.take(page, "outage.png", 900, "could not be reached")
    camera.take(f"{up.here.ui}/runs", "outage-runs.png", 900, "Deferred")


def _found(up: Up, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    return httpx.post(f"{up.here.api}/artifacts/filter", json=wanted, timeout=30).json()


def _file(up: Up, request: dict[str, Any]) -> str:
    file = up.home / "request.jsonl"
    file.write_text(json.dumps(request))
    return str(file)


def _mail(up: Up, camera: Camera) -> None:
    mails = sorted(up.folder.glob("*.eml"))
    name = next(path.name for path in mails if b"Subject: Order" in path.read_bytes())
    assert up.here.mailbox
    camera.take(f"{up.here.mailbox.page}mails/{name}/html", "mail.png", 880, width=620)


def _explain(up: Up) -> None:
    listed = up.run("list", "--provider", "apprise", "--json").stdout
    [found] = eventually(lambda: json.loads(listed)["notifications"])
    told = up.run("explain", found["id"], COLUMNS="220", FORCE_COLOR="1").stdout
    told = re.sub(r";?\s*http://127\S+", "", told)  # the addresses of this machine's runs
    console = Console(record=True, width=112, file=open("/dev/null", "w"))  # noqa: SIM115 - for the process
    console.print(Text.from_ansi(told))
    picture = console.export_svg(title="waypost explain")
    (PICTURES / "explain.svg").write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL))


if __name__ == "__main__":
    main()
