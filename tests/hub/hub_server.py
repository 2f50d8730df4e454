"""A loopback Hub, good enough for the real `huggingface_hub` client, the `hf` command, transformers and datasets.

Users alice (token `hf_alice`) and bob (`hf_bob`), and the organisation `zoo` of alice. `HubServer.hub` holds the request
log, `inject(pattern, status, times)`, which makes the next matching requests fail, and `damage(pattern, how, times)`, which
spoils the bodies of the next matching answers. Anyone with an account may open a pull request where they can read.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime
import hashlib
import json
import os
import re
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

LFS_SUFFIX = (".safetensors", ".bin", ".pt", ".pth", ".onnx", ".parquet", ".arrow", ".npz", ".mp4", ".wav", ".h5")
LFS_MIN_SIZE = 10 * 2**20  # like the Hub: text above 10 MB also goes to LFS
SHA = re.compile(r"[0-9a-f]{40}")


def git_blob_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class HubError(Exception):
    def __init__(self, status, code=None, message="", **headers):
        self.status, self.code, self.message, self.headers = status, code, message, headers


class Repo:
    def __init__(self, kind, rid, owner, private, gated=False):
        self.kind, self.id, self.owner, self.private, self.gated = kind, rid, owner, private, gated
        self.created, self.granted, self.commits = now(), set(), {}
        ga = "".join(f"*{s} filter=lfs diff=lfs merge=lfs -text\n" for s in LFS_SUFFIX).encode()
        self.branches, self.tags, self.pulls = {"main": None}, {}, {}  # pulls: refs/pr/N -> {number, title, author}
        self.ga = ga

    def new_commit(self, branch, tree, title, body="", author="nobody"):
        parent = self.branches.get(branch)
        raw = json.dumps([parent, sorted((p, e["oid"]) for p, e in tree.items()), title, time.time_ns()])
        sha = hashlib.sha1(raw.encode()).hexdigest()
        self.commits[sha] = {
            "id": sha,
            "parent": parent,
            "tree": tree,
            "title": title,
            "message": body,
            "author": author,
            "date": now(),
        }
        self.branches[branch] = sha
        return sha

    def resolve(self, rev):
        sha = self.branches.get(rev) or self.tags.get(rev) or (rev if rev in self.commits else None)
        if sha is None and re.fullmatch(r"[0-9a-f]{7,39}", rev):
            sha = next((c for c in self.commits if c.startswith(rev)), None)
        if sha is None:
            raise HubError(404, "RevisionNotFound", f"Invalid rev id: {rev}")
        return sha


class Hub:
    def __init__(self, root, tokens=None, orgs=None):
        self.root, self.lock, self.repos = Path(root), threading.RLock(), {}
        self.tokens = tokens or {"hf_alice": "alice", "hf_bob": "bob"}
        self.orgs = orgs or {"zoo": {"alice"}}
        self.log, self.faults = [], []  # faults: [regex, status, remaining, headers]
        self.damages = []  # [regex, how, remaining]
        (self.root / "blobs").mkdir(parents=True, exist_ok=True)

    def inject(self, pattern, status, times=1, **headers):
        self.faults.append([re.compile(pattern), status, times, headers])

    def damage(self, pattern, how, times=1):
        """Spoil the next matching answers.

        `reset`: half of the body, then the connection is reset. `cut`: half of the promised body, then the connection is
        closed (the client goes on with the rest by itself). `short`: half of the body, promised as the whole. `corrupt`: as
        many bytes as promised, one of them wrong.
        """
        self.damages.append([re.compile(pattern), how, times])

    def taken(self, faults, request):
        """The first of `faults` that is still to come and concerns the request; it is used up by one."""
        with self.lock:
            for fault in faults:
                if fault[2] > 0 and fault[0].search(request):
                    fault[2] -= 1
                    return fault
        return None

    def clear(self):
        """Forget every repository, file, fault and request."""
        for held in (self.repos, self.log, self.faults, self.damages):
            held.clear()
        for path in (self.root / "blobs").iterdir():
            path.unlink()

    # content store: key = git sha1 (regular) or sha256 (lfs)
    def path(self, key):
        return self.root / "blobs" / key

    def put(self, data: bytes):
        key = git_blob_sha1(data)
        with self.path(key).open("wb") as f:
            f.write(data)
        return {"oid": key, "size": len(data), "key": key, "lfs": None}

    def lfs_entry(self, sha256, size=None):
        p = self.path(sha256)
        if not p.exists():
            raise HubError(400, None, f"LFS pointer pointed to a file that does not exist: {sha256}")
        size = p.stat().st_size
        ptr = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
        return {
            "oid": git_blob_sha1(ptr),
            "size": size,
            "key": sha256,
            "lfs": {"oid": sha256, "size": size, "pointerSize": len(ptr)},
        }

    def can_write(self, user, ns):
        return user is not None and (user == ns or user in self.orgs.get(ns, ()))

    def get(self, kind, rid, user, write=False, content=False):
        r = self.repos.get((kind, rid))
        if r is None or (r.private and not self.can_write(user, r.owner)):
            # the real Hub answers 401 to anonymous callers and 404 to logged-in ones; both carry RepoNotFound
            raise HubError(
                401 if user is None else 404,
                "RepoNotFound",
                "Invalid username or password." if user is None else "Repository not found",
            )
        if write and not self.can_write(user, r.owner):
            raise HubError(
                401 if user is None else 403,
                None,
                "Invalid username or password."
                if user is None
                else "Forbidden: you must use a write token to upload to a repository.",
            )
        if content and r.gated and not (user in r.granted or self.can_write(user, r.owner)):
            raise HubError(401 if user is None else 403, "GatedRepo", f"Access to model {rid} is restricted.")
        return r


KIND = r"(models|datasets|spaces)"
RID = r"([\w.\-]+/[\w.\-]+|[\w.\-]+)"
ROUTES = []


def route(method, pattern):
    def deco(fn):
        ROUTES.append((method, re.compile(pattern + r"/?"), fn))
        return fn

    return deco


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub
    disable_nagle_algorithm = True

    def log_message(self, *a):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            out = b""
            while True:
                n = int(self.rfile.readline().split(b";")[0], 16)
                out += self.rfile.read(n)
                self.rfile.readline()
                if n == 0:
                    return out
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def send(self, status, payload=None, headers=None, raw=None, ctype="application/json; charset=utf-8"):
        data = raw if raw is not None else (b"" if payload is None else json.dumps(payload).encode())
        headers = dict(headers or {})
        damage = self.hub.taken(self.hub.damages, f"{self.command} {self.path}") if self.command != "HEAD" else None
        how = damage[1] if damage else None
        if how == "corrupt":
            data = data[:-1] + bytes([data[-1] ^ 1])
        elif how == "short":
            data = data[: len(data) // 2]
            headers["Content-Length"] = str(len(data))
        # Before the answer: who has it may read the log at once.
        self.hub.log.append((self.command, self.path, status, self.user, self.headers.get("Range")))
        self.send_response(status)
        headers.setdefault("Content-Type", ctype)
        headers.setdefault("Content-Length", str(len(data)))
        headers.setdefault("X-Request-Id", "Root=1-loopback")
        for k, v in headers.items():
            self.send_header(k, v)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(data[: len(data) // 2] if how in ("reset", "cut") else data)
        if how in ("reset", "cut"):
            self.close_connection = True
        if how == "reset":  # closing without lingering sends RST
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def dispatch(self):
        self.sent = False
        u = urlsplit(self.path)
        self.q, self.raw_path = parse_qs(u.query), u.path
        self.data = self.body()  # always drain: keep-alive
        auth = self.headers.get("Authorization", "")
        self.user = self.hub.tokens.get(auth[7:]) if auth.startswith("Bearer ") else None
        try:
            fault = self.hub.taken(self.hub.faults, f"{self.command} {self.path}")
            if fault:
                raise HubError(fault[1], None, "injected fault", **fault[3])
            if auth and self.user is None:
                raise HubError(401, None, "Invalid credentials in Authorization header")
            for m, pat, fn in ROUTES:
                mm = pat.fullmatch(u.path)
                if mm and (m == self.command or (m == "GET" and self.command == "HEAD")):
                    with self.hub.lock:
                        res = fn(self, *[unquote(g) if g is not None else None for g in mm.groups()])
                    return self.send(*res[:2], **(res[2] if len(res) > 2 else {}))
            raise HubError(404, None, f"no route {self.command} {u.path}")
        except HubError as e:
            h = {k.replace("_", "-"): str(v) for k, v in e.headers.items()}
            if e.code:
                h["X-Error-Code"] = e.code
            if e.message:
                h["X-Error-Message"] = e.message
            self.send(e.status, {"error": e.message}, headers=h)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = dispatch  # noqa: N815

    @property
    def json(self):
        return json.loads(self.data or b"{}")

    @property
    def base(self):
        return f"http://{self.headers['Host']}"


def kind_of(k):
    return {"models": "model", "datasets": "dataset", "spaces": "space", None: "model"}[k.rstrip("/") if k else None]


# ---- account / misc -------------------------------------------------------------------------------------------------
@route("GET", r"/api/whoami-v2")
def whoami(h):
    if h.user is None:
        raise HubError(401, None, "Invalid username or password.")
    orgs = [
        {"type": "org", "id": o, "name": o, "fullname": o, "isEnterprise": False} for o, m in h.hub.orgs.items() if h.user in m
    ]
    return 200, {
        "type": "user",
        "id": h.user,
        "name": h.user,
        "fullname": h.user,
        "email": f"{h.user}@x",
        "isPro": False,
        "orgs": orgs,
        "auth": {"type": "access_token", "accessToken": {"displayName": "t", "role": "write"}},
    }


@route("POST", r"/api/validate-yaml")
def validate_yaml(h):
    import yaml

    m = re.match(r"^\s*---\r?\n(.*?)\r?\n---", h.json["content"], re.S)
    if not m:
        return 200, {"errors": [], "warnings": [{"message": "empty or missing yaml metadata in repo card"}]}
    try:
        d = yaml.safe_load(m.group(1)) or {}
    except Exception as e:
        return 400, {"errors": [{"message": str(e)}], "warnings": []}
    bad = [k for k in ("library_name", "pipeline_tag") if k in d and not isinstance(d[k], str)]
    if bad:
        return 400, {"errors": [{"message": f'"{b}" must be a string'} for b in bad], "warnings": []}
    return 200, {"errors": [], "warnings": []}


@route("GET", r"/api/agent-harnesses")
def harnesses(_):
    return 200, {"standardEnvVars": [], "harnesses": {}}


# ---- repositories ---------------------------------------------------------------------------------------------------
@route("POST", r"/api/repos/create")
def create(h):
    if h.user is None:
        raise HubError(401, None, "Invalid username or password.")
    p = h.json
    kind, ns = p.get("type") or "model", p.get("organization") or h.user
    rid = f"{ns}/{p['name']}"
    pre = {"dataset": "datasets/", "space": "spaces/"}.get(kind, "")
    url = {"url": f"{h.base}/{pre}{rid}", "name": rid, "id": rid}
    if not h.hub.can_write(h.user, ns):
        raise HubError(403, None, f'You don\'t have the rights to create a {kind} under the namespace "{ns}"')
    if (kind, rid) in h.hub.repos:
        return 409, dict(error="You already created this repo", **url)
    r = h.hub.repos[(kind, rid)] = Repo(kind, rid, ns, private=p.get("visibility") == "private" or bool(p.get("private")))
    r.new_commit("main", {".gitattributes": h.hub.put(r.ga)}, "initial commit", author=h.user)
    return 200, url


@route("DELETE", r"/api/repos/delete")
def delete(h):
    p = h.json
    kind, rid = p.get("type") or "model", f"{p.get('organization') or h.user}/{p['name']}"
    h.hub.get(kind, rid, h.user, write=True)
    del h.hub.repos[(kind, rid)]
    return 200, None, {"raw": b"OK", "ctype": "text/plain"}


@route("POST", r"/api/repos/move")
def move(h):
    p = h.json
    kind = p.get("type") or "model"
    r = h.hub.get(kind, p["fromRepo"], h.user, write=True)
    del h.hub.repos[(kind, r.id)]
    r.id = p["toRepo"]
    r.owner = r.id.split("/")[0]
    h.hub.repos[(kind, r.id)] = r
    return 200, None, {"raw": b"OK", "ctype": "text/plain"}


@route("PUT", rf"/api/{KIND}/{RID}/settings")
def settings(h, k, rid):
    r = h.hub.get(kind_of(k), rid, h.user, write=True)
    p = h.json
    if "private" in p:
        r.private = bool(p["private"])
    if "visibility" in p:
        r.private = p["visibility"] == "private"
    if "gated" in p:
        r.gated = p["gated"]
    return 200, {"private": r.private, "gated": r.gated}


@route("POST", rf"/api/{KIND}/{RID}/user-access-request/grant")
def grant(h, k, rid):
    h.hub.get(kind_of(k), rid, h.user, write=True).granted.add(h.json["user"])
    return 200, {}


@route("GET", rf"/api/{KIND}/{RID}/auth-check(/write)?")
def auth_check(h, k, rid, write):
    h.hub.get(kind_of(k), rid, h.user, write=bool(write), content=True)
    return 200, {}


def info(h, r, rev):
    sha = r.resolve(rev)
    c = r.commits[sha]
    card = {}
    if "README.md" in c["tree"]:
        import yaml

        with h.hub.path(c["tree"]["README.md"]["key"]).open(encoding="utf-8") as f:
            m = re.match(r"^\s*---\r?\n(.*?)\r?\n---", f.read(), re.S)
        card = (yaml.safe_load(m.group(1)) or {}) if m else {}
    sib = []
    for p, e in sorted(c["tree"].items()):
        s = {"rfilename": p}
        if "blobs" in h.q:
            s.update(size=e["size"], blobId=e["oid"])
            if e["lfs"]:
                s["lfs"] = {"sha256": e["lfs"]["oid"], "size": e["size"], "pointerSize": e["lfs"]["pointerSize"]}
        sib.append(s)
    return dict(
        _id=sha[:24],
        id=r.id,
        modelId=r.id,
        author=r.owner,
        sha=sha,
        lastModified=c["date"],
        createdAt=r.created,
        private=r.private,
        gated=r.gated,
        disabled=False,
        downloads=0,
        likes=0,
        tags=list(card.get("tags") or []),
        pipeline_tag=card.get("pipeline_tag"),
        library_name=card.get("library_name"),
        cardData=card,
        siblings=sib,
        **({"model-index": card["model-index"]} if "model-index" in card else {}),
        usedStorage=0,
    )


@route("GET", rf"/api/{KIND}")
def list_repos(h, k):
    kind, out = kind_of(k), []
    for (kk, rid), r in h.hub.repos.items():
        if kk != kind or (r.private and not h.hub.can_write(h.user, r.owner)):
            continue
        d = info(h, r, "main")
        if h.q.get("search") and h.q["search"][0].lower() not in rid.lower():
            continue
        if h.q.get("author") and h.q["author"][0] != r.owner:
            continue
        if any(f not in d["tags"] + [d["library_name"], d["pipeline_tag"]] for f in h.q.get("filter", [])):
            continue
        out.append(d)
    return 200, out[: int(h.q.get("limit", ["1000"])[0])]


@route("GET", rf"/api/{KIND}/{RID}/refs")
def refs(h, k, rid):
    r = h.hub.get(kind_of(k), rid, h.user)

    def f(d, p):
        return [{"name": n, "ref": f"refs/{p}/{n}", "targetCommit": s} for n, s in d.items()]

    branches = {name: sha for name, sha in r.branches.items() if name not in r.pulls}
    pulls = [{"name": name, "ref": name, "targetCommit": r.branches[name]} for name in r.pulls]
    return 200, {"branches": f(branches, "heads"), "tags": f(r.tags, "tags"), "converts": [], "pullRequests": pulls}


@route("GET", rf"/api/{KIND}/{RID}/commits/([^/]+)")
def commits(h, k, rid, rev):
    r = h.hub.get(kind_of(k), rid, h.user)
    sha, out = r.resolve(rev), []
    while sha:
        c = r.commits[sha]
        out.append(
            {"id": sha, "title": c["title"], "message": c["message"], "date": c["date"], "authors": [{"user": c["author"]}]}
        )
        sha = c["parent"]
    return 200, out


@route("POST", rf"/api/{KIND}/{RID}/(branch|tag)/([^/]+)")
def add_ref(h, k, rid, what, name):
    r = h.hub.get(kind_of(k), rid, h.user, write=True)
    p = h.json
    if what == "branch":
        if name in r.branches:
            raise HubError(409, None, "Reference already exists")
        r.branches[name] = r.resolve(p.get("startingPoint") or "main")
    else:
        if p["tag"] in r.tags:
            raise HubError(409, None, "Tag already exists")
        r.tags[p["tag"]] = r.resolve(name)
    return 200, {}


@route("DELETE", rf"/api/{KIND}/{RID}/(branch|tag)/([^/]+)")
def del_ref(h, k, rid, what, name):
    r = h.hub.get(kind_of(k), rid, h.user, write=True)
    d = r.branches if what == "branch" else r.tags
    if name not in d or name == "main":
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {name}")
    del d[name]
    return 200, {}


def entry_json(p, e):
    d = {"type": "file", "oid": e["oid"], "size": e["size"], "path": p}
    if e["lfs"]:
        d["lfs"] = e["lfs"]
    return d


def subtree(tree, prefix, recursive):
    files, dirs = [], {}
    pre = prefix.rstrip("/") + "/" if prefix else ""
    for p, e in sorted(tree.items()):
        if not p.startswith(pre):
            continue
        parts = p[len(pre) :].split("/")
        for i in range(1, len(parts)):
            if recursive or i == 1:
                dirs[pre + "/".join(parts[:i])] = 1
        if recursive or len(parts) == 1:
            files.append(entry_json(p, e))
    return [{"type": "directory", "oid": hashlib.sha1(d.encode()).hexdigest(), "size": 0, "path": d} for d in dirs] + files


@route("GET", rf"/api/{KIND}/{RID}/tree/([^/]+)(?:/(.+))?")
def tree(h, k, rid, rev, path):
    r = h.hub.get(kind_of(k), rid, h.user)
    out = subtree(r.commits[r.resolve(rev)]["tree"], path or "", h.q.get("recursive", ["false"])[0].lower() in ("true", "1"))
    if path and not out:
        raise HubError(404, "EntryNotFound", f"{path} does not exist")
    return 200, out


@route("POST", rf"/api/{KIND}/{RID}/paths-info/([^/]+)")
def paths_info(h, k, rid, rev):
    r = h.hub.get(kind_of(k), rid, h.user)
    t = r.commits[r.resolve(rev)]["tree"]
    return 200, [entry_json(p, t[p]) for p in parse_qs(h.data.decode()).get("paths", []) if p in t]


# ---- upload ---------------------------------------------------------------------------------------------------------
def proposes(h):
    """Whether the request opens a pull request: anyone with an account may, where they can read."""
    return h.user is not None and h.q.get("create_pr") == ["1"]


@route("POST", rf"/api/{KIND}/{RID}/preupload/([^/]+)")
def preupload(h, k, rid, rev):
    r = h.hub.get(kind_of(k), rid, h.user, write=not proposes(h))
    t = r.commits[r.resolve(rev)]["tree"]
    out = []
    for f in h.json["files"]:
        lfs = f["path"].endswith(LFS_SUFFIX) or f["size"] > LFS_MIN_SIZE
        e = t.get(f["path"])
        d = {"path": f["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        if e:
            d["oid"] = e["lfs"]["oid"] if e["lfs"] else e["oid"]  # lets the client skip unchanged files
        out.append(d)
    return 200, {"files": out}


@route("POST", rf"/(?:(datasets|spaces)/)?{RID}\.git/info/lfs/objects/batch")
def lfs_batch(h, k, rid):
    # Like the Hub, which cannot know here whether a pull request follows: reading and an account are enough.
    h.hub.get(kind_of(k), rid, h.user, write=h.user is None)
    out = []
    for o in h.json["objects"]:
        d = {"oid": o["oid"], "size": o["size"]}
        if not h.hub.path(o["oid"]).exists():
            d.update(
                authenticated=True,
                actions={
                    "upload": {"href": f"{h.base}/_lfs/{o['oid']}"},
                    "verify": {"href": f"{h.base}/_lfs/{o['oid']}/verify"},
                },
            )
        out.append(d)
    return 200, {"transfer": "basic", "objects": out}, {"ctype": "application/vnd.git-lfs+json"}


@route("PUT", r"/_lfs/([0-9a-f]{64})")
def lfs_put(h, oid):
    if hashlib.sha256(h.data).hexdigest() != oid:
        raise HubError(400, None, "sha256 mismatch")
    with h.hub.path(oid).open("wb") as f:
        f.write(h.data)
    return 200, {}


@route("POST", r"/_lfs/([0-9a-f]{64})/verify")
def lfs_verify(h, oid):
    p = h.hub.path(oid)
    if not p.exists() or p.stat().st_size != h.json["size"]:
        raise HubError(404, None, "missing")
    return 200, {}


@route("POST", rf"/api/{KIND}/{RID}/commit/([^/]+)")
def commit(h, k, rid, rev):
    r = h.hub.get(kind_of(k), rid, h.user, write=not proposes(h))
    if rev not in r.branches:
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {rev}")
    t, head = dict(r.commits[r.branches[rev]]["tree"]), {}
    for line in h.data.splitlines():
        d = json.loads(line)
        v = d["value"]
        if d["key"] == "header":
            head = v
        elif d["key"] == "file":
            t[v["path"]] = h.hub.put(base64.b64decode(v["content"]))
        elif d["key"] == "lfsFile":
            t[v["path"]] = h.hub.lfs_entry(v["oid"])
        elif d["key"] == "deletedFile":
            if v["path"] not in t:
                raise HubError(404, "EntryNotFound", "A file with this name doesn't exist")
            del t[v["path"]]
        elif d["key"] == "deletedFolder":
            for p in [p for p in t if p.startswith(v["path"].rstrip("/") + "/")]:
                del t[p]
    pc = head.get("parentCommit")
    if pc and not r.branches[rev].startswith(pc):
        raise HubError(412, None, "A commit has happened since. Please refresh and try again.")
    page = f"{h.base}/{'' if r.kind == 'model' else r.kind + 's/'}{r.id}"
    target, pull_url = rev, None
    if proposes(h):
        number = len(r.pulls) + 1
        target, pull_url = f"refs/pr/{number}", f"{page}/discussions/{number}"
        r.pulls[target] = {"number": number, "title": head.get("summary", ""), "author": h.user}
        r.branches[target] = r.branches[rev]
    sha = r.new_commit(target, t, head.get("summary", ""), head.get("description", ""), h.user)
    return 200, {
        "success": True,
        "commitOid": sha,
        "commitUrl": f"{page}/commit/{sha}",
        "hookOutput": "",
        "pullRequestUrl": pull_url,
    }


# ---- download -------------------------------------------------------------------------------------------------------
@route("GET", rf"/api/{KIND}/{RID}/revision/([^/]+)")
def info_rev(h, k, rid, rev):
    return 200, info(h, h.hub.get(kind_of(k), rid, h.user), rev)


@route("GET", rf"/api/{KIND}/{RID}")
def info_main(h, k, rid):
    return 200, info(h, h.hub.get(kind_of(k), rid, h.user), "main")


@route("GET", rf"/(?:(datasets|spaces)/)?{RID}/(?:resolve|raw)/([^/]+)/(.+)")
def resolve(h, k, rid, rev, path):
    r = h.hub.get(kind_of(k), rid, h.user, content=True)
    sha = r.resolve(rev)
    e = r.commits[sha]["tree"].get(path)
    if e is None:
        raise HubError(404, "EntryNotFound", "Entry not found", X_Repo_Commit=sha)
    etag = e["lfs"]["oid"] if e["lfs"] else e["oid"]
    hd = {
        "ETag": f'"{etag}"',
        "X-Repo-Commit": sha,
        "Accept-Ranges": "bytes",
        "X-Linked-Etag": f'"{etag}"',
        "X-Linked-Size": str(e["size"]),
        "Content-Disposition": f'inline; filename="{PurePosixPath(path).name}";',
    }
    rng, status, lo, hi = h.headers.get("Range"), 200, 0, e["size"] - 1
    m = re.fullmatch(r"bytes=(\d*)-(\d*)", rng or "")
    if m and e["size"]:
        if m[1]:
            lo, hi = int(m[1]), min(int(m[2]) if m[2] else hi, hi)
        else:
            lo = max(0, e["size"] - int(m[2]))
        if lo > hi:
            raise HubError(416, None, "range", Content_Range=f"bytes */{e['size']}")
        status, hd["Content-Range"] = 206, f"bytes {lo}-{hi}/{e['size']}"
    n = hi - lo + 1 if e["size"] else 0
    hd["Content-Length"] = str(n)
    if h.command == "HEAD":
        return status, None, {"headers": hd, "ctype": "application/octet-stream"}
    with h.hub.path(e["key"]).open("rb") as f:
        f.seek(lo)
        data = f.read(n)
    return status, None, {"headers": hd, "raw": data, "ctype": "application/octet-stream"}


class HubServer:
    def __init__(self, root, port=0, **kw):
        self.hub = Hub(root, **kw)
        self.httpd = ThreadingHTTPServer(("127.0.0.1", port), type("H", (Handler,), {"hub": self.hub}))
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}"

    def publish(self, name, files, branch="main", **attributes):
        """Put a commit with these files, name -> bytes, into a model repository `owner/name`; returns its sha."""
        repo = self.hub.repos.setdefault(("model", name), Repo("model", name, name.split("/")[0], private=False))
        for key, value in attributes.items():
            setattr(repo, key, value)
        tree = {}
        for path, data in files.items():
            if path.endswith(LFS_SUFFIX):
                sha = hashlib.sha256(data).hexdigest()
                self.hub.path(sha).write_bytes(data)
                tree[path] = self.hub.lfs_entry(sha)
            else:
                tree[path] = self.hub.put(data)
        return repo.new_commit(branch, tree, "publish")

    def held(self, name, revision="main"):
        """The files of a branch or pull request of a model repository, name -> bytes."""
        repo = self.hub.repos[("model", name)]
        tree = repo.commits[repo.branches[revision]]["tree"]
        return {path: self.hub.path(entry["key"]).read_bytes() for path, entry in tree.items()}

    def environment(self, home, offline=False, user=None, **more):
        """Variables with which the real client of `user` talks to this server and keeps everything under `home`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "AFFECTZOO_"))}
        own = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_OFFLINE": "1" if offline else "0",
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            **({"HF_TOKEN": f"hf_{user}"} if user else {}),
            **more,
        }
        return {**kept, **own}

    def __enter__(self):
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *a):
        self.httpd.shutdown()
        self.httpd.server_close()


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--port", type=int, default=8765)
    ap.add_argument("--root", required=True)
    a = ap.parse_args()
    s = HubServer(a.root, a.port)
    print(s.url, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        s.httpd.serve_forever()
