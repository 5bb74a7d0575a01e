"""The pages without a browser: words complete in both languages and nowhere else, languages, doors, errors."""

import json
import re
import string
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from prefloop.web import serving
from prefloop.web.app import create_app
from prefloop.web.config import WebConfig
from prefloop.web.pages import html
from prefloop.web.pages.html import HERE
from prefloop.web.pages.words import PAGES, SCRIPTS, Words
from prefloop.web.routes import pages
from prefloop.web.security import accounts

WEB = HERE
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
SCRIPT_FILES = sorted((WEB / "static").glob("*.js"))
PASSWORD = "a sentence is easy"
HTML = {"accept": "text/html", "accept-language": "en"}
ROW = {
    "id": "one", "prompt_id": "p", "messages": [{"role": "user", "content": "Hello?"}], "sampling": {"temperature": 1.0}, "tags": [],
    "responses": [{"text": text, "num_tokens": 1, "finished": True, "sampler": "s"} for text in ("a", "b")],
}  # fmt: skip


@pytest.fixture
def site(tmp_path):
    (tmp_path / "comparisons.jsonl").write_text(json.dumps(ROW) + "\n", encoding="utf-8")
    opened = serving.open_site(tmp_path, WebConfig(password_memory_kb=8, name="Help <desk>"))
    yield opened
    opened.database.close()


@pytest.fixture
def client(site):
    with TestClient(create_app(site), base_url="http://127.0.0.1", follow_redirects=False) as open_client:
        yield open_client


def sign_in(site, client, role="annotator", **preferences):
    def add(connection):
        number = accounts.add_user(connection, site, "ada", site.hasher.hash(PASSWORD), role=role)
        from prefloop.web.store.tables import users

        connection.execute(users.update().where(users.c.id == number).values(preferences=preferences))

    site.database.write(add)
    client.cookies.set(accounts.COOKIE, accounts.sign_in(site, "ada", PASSWORD, address="test"))


def fields(text: str) -> set[str]:
    """What is to be filled in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("key", [*PAGES, *SCRIPTS])
def test_every_entry_is_in_both_languages_with_the_same_fields(key):
    english, chinese = {**PAGES, **SCRIPTS}[key]
    assert english.strip()
    assert chinese.strip()
    assert fields(english) == fields(chinese)
    assert not re.search("[\u4e00-\u9fff]", english)
    has_words = re.search(r"[^\W\d_]", re.sub(r"\{\w+\}", "", english))
    assert bool(re.search("[\u4e00-\u9fff]", chinese)) == bool(has_words)


def test_no_key_stands_in_both_tables():
    assert set(PAGES) & set(SCRIPTS) == set()


def test_templates_hold_no_sentence_of_their_own():
    result = {}
    for path in TEMPLATES:
        text = re.sub(
            r"\{% block body_class %\}\w*|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>",
            " ",
            path.read_text(encoding="utf-8"),
            flags=re.DOTALL,
        )
        words = [
            word for word in re.findall(r"[^\W\d_]{2,}", text) if word not in ("English", "中文")
        ]  # each language's own name for itself
        if words:
            result[path.name] = words
    assert result == {}


def test_templates_name_no_word_in_an_attribute():
    spoken = re.compile(r"(?:aria-label|title|placeholder|alt)=\"(?!\{\{)[^\"{]*[^\W\d_]{2,}")
    assert [path.name for path in TEMPLATES if spoken.search(path.read_text(encoding="utf-8"))] == []


def strings_of(text: str) -> list[str]:
    """String literals of a script, without comments."""
    text = re.sub(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", "", text, flags=re.DOTALL)
    return re.findall(r"\"((?:[^\"\\\n]|\\.)*)\"", text) + re.findall(r"`((?:[^`\\]|\\.)*)`", text)


def test_scripts_hold_no_sentence_of_their_own():
    code = re.compile(r"^[a-z0-9 .#:=\-\[\]>,(){}_$*+/@'\"\\?!|^&;%A-Z]*$")
    result = []
    for path in SCRIPT_FILES:
        for literal in strings_of(path.read_text(encoding="utf-8")):
            outside = re.sub(r"\$\{[^}]*\}", "", literal)
            if re.search(r"[A-Z][a-z]+ [a-z]+ |[\u4e00-\u9fff]", outside) or (
                not code.match(outside) and re.search(r"[^\W\d_]{2,} [^\W\d_]{2,} [^\W\d_]{2,}", outside)
            ):
                result.append((path.name, literal))
    assert result == []


def test_every_word_that_is_asked_for_is_there():
    asked: set[str] = set()
    for path in TEMPLATES:
        asked |= {("page", key) for key in re.findall(r"\bt\(\"([\w.]+)\"[,)]", path.read_text(encoding="utf-8"))}
    for path in SCRIPT_FILES:
        asked |= {("script", key) for key in re.findall(r"\bt\(\"([\w.]+)\"[,)]", path.read_text(encoding="utf-8"))}
    missing = [key for where, key in asked if key not in SCRIPTS and (where == "script" or key not in PAGES)]
    assert missing == []


def test_every_word_is_asked_for_by_somebody():
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in [*TEMPLATES, *SCRIPT_FILES, WEB / "html.py", Path(pages.__file__)]
    )
    code += "".join(f"{name}.{state}" for name in ("raw", "lock") for state in ("on", "off"))  # judge.js: flip
    stems = set(re.findall(r"[\"`]([a-z_.]+\.)(?:\"|\$\{|\{)", code))
    unused = [key for key in [*PAGES, *SCRIPTS] if key not in code and not any(key.startswith(stem) for stem in stems)]
    assert unused == []


def test_actions_and_kinds_have_words():
    text = (WEB / "static" / "keys.js").read_text(encoding="utf-8")
    actions = re.findall(r"(\w+): \"[^\"]+\"", text.partition("DEFAULTS = {")[2].partition("};")[0])
    assert len(actions) > 20
    assert [action for action in actions if f"key.{action}" not in SCRIPTS] == []


def test_nothing_is_inline_and_nothing_is_parsed_as_html():
    for path in TEMPLATES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=\"|\|\s*safe", text), path.name
    for path in SCRIPT_FILES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|setAttribute\(\"(?:style|on)",
            text,
        ), path.name


def test_files_of_the_page_are_short():
    lengths = {
        path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in (WEB / "static").glob("*.[jc]s*")
    }
    assert {name: length for name, length in lengths.items() if length > 500} == {}


@pytest.mark.parametrize("path", ["/", "/guideline", "/history", "/help", "/preferences"])
def test_pages_ask_strangers_to_sign_in(client, path):
    response = client.get(path, headers=HTML)
    assert response.status_code == 303
    assert response.headers["location"] == ("/login" if path == "/" else f"/login?next=%2F{path[1:]}")


def test_a_queue_is_come_back_to_after_signing_in(client):
    assert client.get("/?queue=arena", headers=HTML).headers["location"] == "/login?next=%2F%3Fqueue%3Darena"


@pytest.mark.parametrize("path", ["/", "/guideline", "/history", "/help", "/preferences"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_pages_are_in_the_readers_language(site, client, path, language):
    sign_in(site, client, language=language, theme="dark")
    text = client.get(path, headers=HTML).text
    assert f'<html lang="{html.TAGS[language]}" data-theme="dark">' in text
    assert "Help &lt;desk&gt;" in text
    assert Words(language).plain("nav.history") in text


def test_every_file_a_page_names_is_there(site, client):
    sign_in(site, client)
    for path in ("/", "/guideline", "/history", "/help", "/preferences"):
        for name in re.findall(r"(?:src|href)=\"(/static/[^\"]+)\"", client.get(path, headers=HTML).text):
            assert client.get(name).status_code == 200, name


def test_the_judging_page_is_not_kept_and_its_files_are(site, client):
    sign_in(site, client)
    page = client.get("/", headers=HTML)
    assert page.headers["cache-control"] == "no-store"
    name = re.findall(r"src=\"(/static/[^\"]+judge.js)\"", page.text)[0]
    assert "immutable" in client.get(name).headers["cache-control"]


def test_leads_see_their_pages_in_the_menu(site, client):
    sign_in(site, client, role="lead")
    assert 'href="/lead"' in client.get("/help", headers=HTML).text


def test_annotators_do_not(site, client):
    sign_in(site, client)
    assert 'href="/lead"' not in client.get("/help", headers=HTML).text


def test_the_language_of_a_stranger(client):
    assert 'lang="zh-Hans"' in client.get("/login", headers={**HTML, "accept-language": "zh-CN,zh;q=0.9"}).text
    assert 'lang="zh-Hans"' in client.get("/login?lang=zh", headers=HTML).text
    assert 'lang="zh-Hans"' in client.get("/login", headers=HTML).text  # it was chosen, and is remembered
    assert 'lang="en"' in client.get("/login?lang=en", headers=HTML).text
    assert 'lang="en"' in client.get("/login?lang=klingon", headers=HTML).text


def test_the_way_back_is_carried_and_escaped(client):
    text = client.get("/login?next=/history%22%3E%3Cscript%3E", headers=HTML).text
    assert 'name="next" value="/history&#34;&gt;&lt;script&gt;"' in text


@pytest.mark.parametrize(
    ("code", "says"), [("wrong", "wrong"), ("throttled", "quarter of an hour"), ("anything", "did not work")]
)
def test_a_failed_sign_in_says_why(client, code, says):
    assert says in client.get(f"/login?error={code}", headers=HTML).text


def test_an_invitation_that_is_good_and_one_that_is_not(site, client):
    token = site.database.write(lambda c: accounts.invite(c, site, role="lead", by=None))
    good = client.get(f"/join/{token}", headers=HTML)
    assert good.status_code == 200
    assert "as a lead" in good.text
    bad = client.get("/join/" + "x" * 30, headers=HTML)
    assert bad.status_code == 404
    assert '<form method="post" action="/join' not in bad.text


def test_joining_works_without_a_script(site, client):
    token = site.database.write(lambda c: accounts.invite(c, site, role="annotator", by=None))
    form = {"name": "Grace", "password": PASSWORD, "lang": "en"}
    joined = client.post(
        f"/join/{token}", data=form, headers={**HTML, "origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
    )
    assert joined.status_code == 303
    assert client.get("/", headers=HTML).status_code == 200


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (404, "There is nothing here"),
        (403, "This is not yours"),
        (500, "Something is broken"),
        (503, "Something is broken"),
        (418, "This did not work"),
    ],
)
def test_error_pages(site, client, status, title):
    request = client.build_request("GET", "/nowhere", headers=HTML)
    from starlette.requests import Request

    scope = {
        "type": "http", "app": client.app, "path": "/nowhere", "query_string": b"",
        "headers": [(b"accept-language", b"en")], "method": "GET",
    }  # fmt: skip
    page = html.error_page(Request(scope), status)
    assert page.status_code == status
    assert title in page.body.decode()
    assert request.url.path == "/nowhere"


def test_a_missing_page_is_a_page(client):
    missing = client.get("/nowhere", headers=HTML)
    assert missing.status_code == 404
    assert "There is nothing here" in missing.text


def test_a_form_that_a_script_sends_does_nothing_before_the_script_is_there():
    """Else what was typed, a secret maybe, would go into the address of the page."""
    forms = [
        form
        for file in (HERE / "templates").rglob("*.html")
        for form in re.findall(r"<form[^>]*>", file.read_text(encoding="utf-8"))
    ]
    scripted = [form for form in forms if "data-call" in form]
    assert len(scripted) > 15
    assert [form for form in scripted if 'method="dialog"' not in form] == []
    assert [form for form in forms if "method=" not in form] == []
