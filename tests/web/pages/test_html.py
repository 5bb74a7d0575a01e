"""The pages without a browser: words complete in both languages and nowhere else, languages, doors, errors."""

import re
import string
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from prefloop.web import serving
from prefloop.web.app import create_app
from prefloop.web.config import WebConfig
from prefloop.web.pages import html
from prefloop.web.pages.html import HERE
from prefloop.web.pages.words import PAGES, SCRIPTS, Words
from prefloop.web.routes import pages
from prefloop.web.security import accounts
from prefloop.web.store.tables import users
from web.acts import HTML, OURS, PASSWORD, comparison, invited

TEMPLATES = sorted((HERE / "templates").glob("*.html"))
SCRIPT_FILES = sorted((HERE / "static").glob("*.js"))


@pytest.fixture
def site(tmp_path):
    (tmp_path / "comparisons.jsonl").write_text(comparison(1).model_dump_json() + "\n", encoding="utf-8")
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


CODE = re.compile(r"\{% block body_class %\}\w*|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", flags=re.DOTALL)
"""What is not words in a template."""


def test_templates_hold_no_sentence_of_their_own():
    texts = {path.name: CODE.sub(" ", path.read_text(encoding="utf-8")) for path in TEMPLATES}
    words = [(name, word) for name, text in texts.items() for word in re.findall(r"[^\W\d_]{2,}", text)]
    assert {word for _, word in words} <= {"English", "中文"}, words  # each language's own name for itself


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
    files = [*TEMPLATES, *SCRIPT_FILES, HERE / "html.py", Path(pages.__file__)]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    code += "".join(f"{name}.{state}" for name in ("raw", "lock") for state in ("on", "off"))  # judge.js: flip
    stems = set(re.findall(r"[\"`]([a-z_.]+\.)(?:\"|\$\{|\{)", code))
    unused = [key for key in [*PAGES, *SCRIPTS] if key not in code and not any(key.startswith(stem) for stem in stems)]
    assert unused == []


def test_actions_and_kinds_have_words():
    text = (HERE / "static" / "keys.js").read_text(encoding="utf-8")
    actions = re.findall(r"(\w+): \"[^\"]+\"", text.partition("DEFAULTS = {")[2].partition("};")[0])
    assert len(actions) > 20
    assert [action for action in actions if f"key.{action}" not in SCRIPTS] == []


PARSES = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser"
    r"|setAttribute\(\"(?:style|on)"
)


def test_nothing_is_inline_and_nothing_is_parsed_as_html():
    for path in TEMPLATES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=\"|\|\s*safe", text), path.name
    for path in SCRIPT_FILES:
        assert not PARSES.search(path.read_text(encoding="utf-8")), path.name


def test_files_of_the_page_are_short():
    files = {path.name: path.read_text(encoding="utf-8") for path in (HERE / "static").glob("*.[jc]s*")}
    assert [name for name, text in files.items() if len(text.splitlines()) > 500] == []


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


@pytest.mark.parametrize("role", ["lead", "annotator"])
def test_only_leads_see_their_pages_in_the_menu(site, client, role):
    sign_in(site, client, role=role)
    assert ('href="/lead"' in client.get("/help", headers=HTML).text) == (role == "lead")


def test_the_language_of_a_stranger(client):
    assert 'lang="zh-Hans"' in client.get("/login", headers={**HTML, "accept-language": "zh-CN,zh;q=0.9"}).text
    assert 'lang="zh-Hans"' in client.get("/login?lang=zh", headers=HTML).text
    assert 'lang="zh-Hans"' in client.get("/login", headers=HTML).text  # it was chosen, and is remembered
    assert 'lang="en"' in client.get("/login?lang=en", headers=HTML).text
    assert 'lang="en"' in client.get("/login?lang=klingon", headers=HTML).text


def test_the_way_back_is_carried_and_escaped(client):
    text = client.get("/login?next=/history%22%3E%3Cscript%3E", headers=HTML).text
    assert 'name="next" value="/history&#34;&gt;&lt;script&gt;"' in text


PROBLEMS = {"wrong": "wrong", "throttled": "quarter of an hour", "anything": "did not work"}


@pytest.mark.parametrize(("code", "says"), PROBLEMS.items())
def test_a_failed_sign_in_says_why(client, code, says):
    assert says in client.get(f"/login?error={code}", headers=HTML).text


def test_an_invitation_that_is_good_and_one_that_is_not(site, client):
    good = client.get(f"/join/{invited(site, 'lead')}", headers=HTML)
    assert good.status_code == 200
    assert "as a lead" in good.text
    bad = client.get("/join/" + "x" * 30, headers=HTML)
    assert bad.status_code == 404
    assert '<form method="post" action="/join' not in bad.text


def test_joining_works_without_a_script(site, client):
    form = {"name": "Grace", "password": PASSWORD, "lang": "en"}
    headers = {**HTML, **OURS, "sec-fetch-site": "same-origin"}
    assert client.post(f"/join/{invited(site)}", data=form, headers=headers).status_code == 303
    assert client.get("/", headers=HTML).status_code == 200


TITLES = {
    404: "There is nothing here", 403: "This is not yours", 500: "Something is broken", 503: "Something is broken",
    418: "This did not work",
}  # fmt: skip


@pytest.mark.parametrize(("status", "title"), TITLES.items())
def test_error_pages(client, status, title):
    scope = {"type": "http", "app": client.app, "method": "GET", "path": "/nowhere", "query_string": b""}
    page = html.error_page(Request({**scope, "headers": [(b"accept-language", b"en")]}), status)
    assert page.status_code == status
    assert title in page.body.decode()


def test_a_missing_page_is_a_page(client):
    missing = client.get("/nowhere", headers=HTML)
    assert missing.status_code == 404
    assert "There is nothing here" in missing.text


def test_a_form_that_a_script_sends_does_nothing_before_the_script_is_there():
    """Else what was typed, a secret maybe, would go into the address of the page."""
    texts = [file.read_text(encoding="utf-8") for file in (HERE / "templates").rglob("*.html")]
    forms = [form for text in texts for form in re.findall(r"<form[^>]*>", text)]
    scripted = [form for form in forms if "data-call" in form]
    assert len(scripted) > 15
    assert [form for form in scripted if 'method="dialog"' not in form] == []
    assert [form for form in forms if "method=" not in form] == []
