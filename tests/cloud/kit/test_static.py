"""Static files: what is sent, in how few bytes, and that nothing outside the folder has an address."""

import gzip

from fastapi import FastAPI
from fastapi.testclient import TestClient

from cloud.config import Settings
from cloud.kit.static import STATIC, static_url, without_comments
from cloud.kit.web import furnish


def a_client() -> TestClient:
    app = FastAPI()
    furnish(app, Settings())
    return TestClient(app)


def test_comments_are_left_out_and_code_is_not() -> None:
    text = '// why\nconst a = "// not a comment";  // kept\n\n/* block\n   of words */\nlet b = 1 /* kept */;\n/* one */\n'  # noqa: E501
    assert without_comments(text) == 'const a = "// not a comment";  // kept\nlet b = 1 /* kept */;\n'
    for kept in ("/* a */ b {}\n", "/* a */ b {} /* c */\n"):
        assert without_comments(kept) == kept


def test_every_file_of_the_folder_is_served_with_its_type() -> None:
    client = a_client()
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".png": "image/png"}
    for file in (path for path in STATIC.rglob("*") if path.is_file()):
        answer = client.get(static_url(file.relative_to(STATIC).as_posix()))
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith(types.get(file.suffix, ""))


def test_a_browser_that_takes_gzip_gets_the_same_words_in_fewer_bytes() -> None:
    client = a_client()
    plain = client.get(static_url("css/base.css"), headers={"accept-encoding": "identity"})
    with client.stream("GET", static_url("css/base.css"), headers={"accept-encoding": "gzip"}) as packed:
        raw = b"".join(packed.iter_raw())
        assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content)


def test_a_static_address_takes_no_change() -> None:
    assert a_client().post(static_url("css/base.css")).status_code == 404
