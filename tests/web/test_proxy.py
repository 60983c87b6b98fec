"""The proxy of docs/serving.md: the example as it stands there, in a real nginx, before a real server."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from serving import BASE, BEARER, NAME, TOKEN, Server

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
DOCS = Path(__file__).parents[2] / "docs" / "serving.md"


def example():
    (found,) = re.findall(r"```nginx\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return found


def written(folder, port, locked):
    """Settings of an nginx that lies in a folder, with the example in it."""
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    inside = example().replace("127.0.0.1:7860", f"127.0.0.1:{locked.port}")
    file.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {places} server {{ listen 127.0.0.1:{port}; {inside} }} }}"
    )
    return file


@pytest.fixture(scope="module")
def proxy(locked, tmp_path_factory):
    if NGINX is None:
        pytest.skip("nginx is not installed")
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([NGINX, "-p", folder, "-c", written(folder, port, locked)], env={**os.environ})
    try:
        until = time.monotonic() + 20
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        yield Server(port)
    finally:
        process.kill()
        process.wait()


def ask(proxy, path, body=None, **headers):
    return proxy.ask(path, body, headers={"Host": NAME, **headers})


def test_the_example_names_what_a_server_must_be_told():
    assert f"location {BASE} {{" in example()
    assert f"--allowed-hosts {NAME} --base-path {BASE}" in DOCS.read_text("utf-8")


def test_a_visitor_gets_the_page_its_files_and_pictures_by_the_proxy_s_name(proxy):
    answer = ask(proxy, f"{BASE}/?token={TOKEN}")
    assert (answer.status, answer.headers["location"]) == (303, f"{BASE}/")
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    page = ask(proxy, f"{BASE}/", **cookie)
    assert page.status == 200
    for link in re.findall(r'(?:href|src)="([^"#]*)"', page.body.decode()):
        assert ask(proxy, link, **cookie).status == 200
    hit = ask(proxy, f"{BASE}/api/search", b'{"text": "bar"}', **{"Content-Type": "application/json"}, **cookie).data
    assert ask(proxy, hit["results"][0]["media"], **cookie).status == 200
    assert ask(proxy, f"{BASE}/healthz").data == {"status": "ok"}


def test_the_name_and_the_token_are_judged_behind_it(proxy):
    assert ask(proxy, f"{BASE}/api/index").status == 401
    assert ask(proxy, f"{BASE}/api/index", **BEARER).status == 200
    assert ask(proxy, f"{BASE}/api/index", **{**BEARER, "Host": "evil.example"}).status == 421


def test_a_picture_of_the_largest_size_goes_through(proxy, tiny):
    raw = tiny.files["image"][7].read_bytes().ljust(999_000, b"\0")
    body = json.dumps({"image": base64.b64encode(raw).decode(), "k": 1}).encode()
    answer = ask(proxy, f"{BASE}/api/search", body, **{"Content-Type": "application/json"}, **BEARER)
    assert answer.data["results"][0]["position"] == 7


def test_addresses_that_are_told_are_those_that_the_visitor_reaches(proxy):
    body = json.dumps({"text": "bar", "num_images": 1}).encode()
    (found,) = ask(proxy, f"{BASE}/knn-service", body, **BEARER, Host=f"{NAME}:{proxy.port}").data
    assert found["url"].startswith(f"http://{NAME}:{proxy.port}{BASE}/media/")
