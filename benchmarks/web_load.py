"""Many annotators at one page, over HTTP, while the server is killed: is anything lost, doubled or over-collected?

    python benchmarks/web_load.py [annotators=200] [judgements=20000] [think=5.0] [kills=0] [database=URL]

Each annotator leases three items at a time, thinks for `think` seconds on average (exponential), and sends its
judgement again and again until it is acknowledged. Who is given nothing asks again after ten seconds, as the page does.
Every acknowledged id is then looked for in the export. Prints one JSON object.
"""

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

OVERLAP = 4
PASSWORD = "correct horse battery staple"
AGAIN = 10.0
"""Seconds after which somebody who was given nothing asks again; the page's own (`AGAIN` in static/queue.js)."""
TEXTS = ("I am sorry about that. Order 1234 is on its way.", "Please wait.", "Your parcel left this morning.", "No.")


@dataclass
class Seen:
    """What the annotators saw."""

    acknowledged: dict[str, str] = field(default_factory=dict)
    """judgement -> presentation"""
    submit: list[float] = field(default_factory=list)
    """seconds of each first attempt that was answered"""
    lease: list[float] = field(default_factory=list)
    retries: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Server:
    """`prefloop web` as a process that may be killed and started again on the same port."""

    def __init__(self, folder: Path, settings: list[str]) -> None:
        self.folder, self.settings, self.base, self.link = folder, settings, "", ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Starts it and waits until it says where it listens."""
        port = self.base.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "prefloop.cli", "web", str(self.folder), f"port={port}", *self.settings]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "/join/" in line:
                self.link = line.rpartition("/join/")[2].strip()
            elif line.startswith("web: http"):
                self.base = line.split()[1]
                return
        raise SystemExit("the server did not start")

    def cpu_seconds(self) -> float:
        """What the process has used so far."""
        assert self.process is not None
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


async def insist(
    client: httpx.AsyncClient, path: str, body: Any, seen: Seen, times: list[float] | None = None
) -> httpx.Response:
    """Sends until the server answers with anything but 5xx or 429."""
    while True:
        began = time.perf_counter()
        try:
            answer = await client.post(path, json=body)
            if answer.status_code < 500 and answer.status_code != 429:
                if times is not None:
                    times.append(time.perf_counter() - began)
                return answer
        except httpx.TransportError:
            pass
        seen.retries += 1
        await asyncio.sleep(0.2 + 0.3 * random.random())


async def annotator(number: int, base: str, token: str, think: float, seen: Seen) -> None:
    """One annotator, until the queue is dry."""
    rng = random.Random(number)
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        await asyncio.sleep(think * rng.random())
        joined = await insist(client, f"/api/v1/join/{token}", {"name": f"ann{number}", "password": PASSWORD}, seen)
        if joined.status_code != 200:  # the first answer may have been lost on the way: the name is ours already
            await insist(client, "/api/v1/session", {"name": f"ann{number}", "password": PASSWORD}, seen)
        while True:
            answer = await insist(client, "/api/v1/leases", {"count": 3}, seen, seen.lease)
            if answer.status_code != 200:
                seen.refused[f"lease {answer.status_code}"] += 1
                return
            result = answer.json()
            if not result["presentations"]:
                if result["empty"] != "waiting":
                    return
                await asyncio.sleep(AGAIN)
            for shown in result["presentations"]:
                await asyncio.sleep(rng.expovariate(1 / think) if think else 0)
                judged = {
                    "id": str(uuid.UUID(int=rng.getrandbits(128))),
                    "presentation": shown["id"],
                    "active_seconds": think,
                    "answer": {"choice": rng.choice(["left", "right", "tie"]), "strength": None},
                }
                if judged["answer"]["choice"] != "tie":
                    judged["answer"]["strength"] = rng.randint(1, 3)
                kept = await insist(client, "/api/v1/judgements", judged, seen, seen.submit)
                if kept.status_code == 200:
                    seen.acknowledged[judged["id"]] = shown["id"]
                else:
                    seen.refused[f"judgement {kept.status_code} {kept.json()['error']['code']}"] += 1


async def killer(server: Server, kills: int, seconds: float, running: asyncio.Event) -> int:
    """kill -9 at random moments, and start again."""
    done = 0
    while running.is_set() and done < kills:
        await asyncio.sleep(seconds * (0.5 + random.random()))
        if running.is_set():
            server.kill()
            await asyncio.to_thread(server.start)
            done += 1
    return done


async def load(
    server: Server, people: int, think: float, kills: int, seconds: float, seen: Seen
) -> tuple[int, httpx.Cookies]:
    """Everybody at once. Returns: kills done, and the admin's session."""
    async with httpx.AsyncClient(base_url=server.base, timeout=30) as admin:
        (
            await admin.post(f"/api/v1/join/{server.link}", json={"name": "admin", "password": PASSWORD})
        ).raise_for_status()
        answer = await admin.post("/api/v1/invitations", json={"uses": min(1000, 2 * people)})
        token = answer.json()["link"].rpartition("/")[2]
        running = asyncio.Event()
        running.set()
        killing = asyncio.create_task(killer(server, kills, seconds, running))
        await asyncio.gather(*[annotator(n, server.base, token, think, seen) for n in range(people)])
        running.clear()
        return await killing, admin.cookies


def checked(server: Server, cookies: httpx.Cookies, seen: Seen) -> dict[str, Any]:
    """What the export holds, against what was acknowledged."""
    with httpx.Client(base_url=server.base, cookies=cookies, timeout=120) as client:
        rows = [json.loads(line) for line in client.get("/api/v1/export/judgements.jsonl").text.splitlines()]
        events = [json.loads(line) for line in client.get("/api/v1/export/events.jsonl").text.splitlines()]
        whole = client.get("/api/v1/log/verify").status_code == 200
    ids = Counter(row["id"] for row in rows)
    kept = {payload_of(event)["judgement"]["id"] for event in events if event["kind"] == "judgement"}
    pairs = Counter((row["comparison"], tuple(sorted(row["order"]))) for row in rows)
    twice = Counter((row["comparison"], tuple(sorted(row["order"])), row["annotator"]) for row in rows)
    return {
        "exported": len(rows),
        "lost": len(set(seen.acknowledged) - kept),
        "kept_but_late": len(kept - set(ids)),
        "doubled": sum(n > 1 for n in ids.values()) + sum(n > 1 for n in twice.values()),
        "over_collected": sum(n > OVERLAP for n in pairs.values()),
        "under_collected": sum(n < OVERLAP for n in pairs.values()),
        "log_whole": whole,
    }


def payload_of(event: dict[str, Any]) -> dict[str, Any]:
    """An event's payload, which may be kept as text."""
    return json.loads(event["payload"]) if isinstance(event["payload"], str) else event["payload"]


def quantile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return round(1000 * sorted(values)[min(len(values) - 1, int(share * len(values)))], 1) if values else 0.0


def tenths(values: list[float]) -> list[list[float]]:
    """In the order in which they came: the first hold the moment in which all join, the last that in which the queue
    runs dry."""
    return [values[len(values) * n // 10 : len(values) * (n + 1) // 10] for n in range(10)]


def main() -> None:
    """Runs the load and prints what was seen."""
    given = dict(text.split("=", 1) for text in sys.argv[1:])
    people, wanted, kills = (
        int(given.get(name, usual)) for name, usual in (("annotators", 200), ("judgements", 20000), ("kills", 0))
    )
    think = float(given.get("think", 5.0))
    seconds = (
        float(given.get("seconds_between_kills", max(2.0, wanted / people * (think + 0.3) / (kills + 1))))
        if kills
        else 1.0
    )
    with tempfile.TemporaryDirectory() as folder:
        lines = [
            {
                "id": f"c{n}",
                "prompt_id": f"p{n}",
                "messages": [{"role": "user", "content": f"Where is parcel {n}?"}],
                "responses": [
                    {"text": t, "num_tokens": 9, "finished": True, "sampler": "s"}
                    for t in random.Random(n).sample(TEXTS, 2)
                ],
                "sampling": {"temperature": 1.0},
            }
            for n in range(wanted // OVERLAP)
        ]
        (Path(folder) / "comparisons.jsonl").write_text(
            "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
        )
        settings = [
            f"overlap.judgements={OVERLAP}",
            "checks.repeat_every=0",
            "password_memory_kb=64",
            "lease_minutes=10",
        ]
        server = Server(Path(folder), settings + ([f"database={given['database']}"] if "database" in given else []))
        server.start()
        seen, began = Seen(), time.perf_counter()
        before = server.cpu_seconds()
        done, cookies = asyncio.run(load(server, people, think, kills, seconds, seen))
        took, cpu = time.perf_counter() - began, server.cpu_seconds() - before
        result = checked(server, cookies, seen)
        server.kill()
    print(
        json.dumps(
            {
                "database": "postgresql" if "database" in given else "sqlite",
                "annotators": people,
                "think_seconds": think,
                "kills": done,
                "acknowledged": len(seen.acknowledged),
                **result,
                "refused": dict(seen.refused),
                "retries": seen.retries,
                "submit_p50_ms": quantile(seen.submit, 0.5),
                "submit_p95_ms": quantile(seen.submit, 0.95),
                "lease_p95_ms": quantile(seen.lease, 0.95),
                "submit_p95_ms_of_tenths": [quantile(part, 0.95) for part in tenths(seen.submit)],
                "mean_submit_ms": round(1000 * statistics.fmean(seen.submit), 1) if seen.submit else 0.0,
                "judgements_per_second": round(len(seen.acknowledged) / took, 1),
                "seconds": round(took, 1),
                "cores": os.cpu_count(),
                "server_cpu_ms_per_judgement": round(1000 * cpu / max(1, len(seen.acknowledged)), 2)
                if not kills
                else None,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
