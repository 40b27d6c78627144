# Copyright: (c) 2026, toucan.selfhosted contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP API."""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable
from typing import Any

import flask
import redis
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException
from werkzeug.utils import secure_filename

from . import accounts, secrets
from .config import Config, read_config
from .cors import cors_headers
from .database import InstanceDatabases, connect_mongodb, connect_redis
from .identity import Dialect, Release, read_dialect, read_release
from .settings import listed_providers, settings_problems
from .small_apps import STAGES, SmallAppError, SmallApps
from .throttle import LoginThrottle

_log = logging.getLogger(__name__)

ADMINS = ("ADMIN", "SUPER_ADMIN")
# product-facts 2.1 [S:PUBAPI]
LOGIN_FAILED = "Login failed. Invalid username or password"
TOO_MANY_REQUESTS = "Too many requests in a short time..."
# product-facts 2.1 [S:HELM, V3]
TOKEN_COOKIE = "access_token"

# product-facts 5.3 [S:CONN]: the registry's types. This image speaks to MongoDB alone.
CONNECTORS = ({"type": "MongoDB", "available": True},)

api = flask.Blueprint("api", __name__)


class Backend:
    """Everything a request needs."""

    def __init__(self, config: Config, dialect: Dialect, release: Release) -> None:
        self.config = config
        self.dialect = dialect
        self.release = release
        self.databases = InstanceDatabases(connect_mongodb(config, dialect), config, dialect)
        self.throttle = LoginThrottle(connect_redis(config), config.login_rate)
        self.small_apps = SmallApps(self.databases)


def create_app() -> flask.Flask:
    """The WSGI application, of the files this image and its environment hold."""
    app = flask.Flask(__name__)
    app.extensions["backend"] = Backend(read_config(), read_dialect(), read_release())
    app.register_blueprint(api)
    return app


def backend() -> Backend:
    """What belongs to the current request's application."""
    return flask.current_app.extensions["backend"]


def answer(body: Any, status: int = 200) -> flask.Response:
    """``body`` as JSON without blanks."""
    # product-facts 1.5 [S:PUBAPI, INF]: 36 bytes are {"status":"OK","version":"v105.0.0"}
    text = json.dumps(body, separators=(",", ":"))
    return flask.Response(text, status, mimetype="application/json")


def refusal(status: int, message: str, **more: Any) -> flask.Response:
    """An error as JSON."""
    # product-facts 2.1 [S:PUBAPI]: {"statusCode":401,"message":"Unauthorized"}
    return answer({"statusCode": status, "message": message, **more}, status)


@api.before_app_request
def answer_preflight() -> flask.Response | None:
    # product-facts 1.7 [S:W6D]
    return flask.Response(status=204) if flask.request.method == "OPTIONS" else None


@api.after_app_request
def add_cors_headers(response: flask.Response) -> flask.Response:
    # product-facts 1.7 [S:W6D]
    response.headers.update(cors_headers(backend().config, flask.request.headers.get("Origin")))
    return response


@api.app_errorhandler(HTTPException)
def refuse_as_json(error: HTTPException) -> flask.Response:
    # product-facts 2.1 [S:PUBAPI]; that every error looks like the 401 is [INF]
    return refusal(error.code or 500, error.name)


@api.app_errorhandler(PyMongoError)
@api.app_errorhandler(redis.RedisError)
def refuse_without_services(error: Exception) -> flask.Response:
    # product-facts 2.1 [INF]
    _log.exception("a service the request needs does not answer")
    return refusal(503, "Service Unavailable")


def current_user() -> dict[str, Any] | None:
    """The public fields of the user who asks, or None."""
    # product-facts 2.1 [S:PUBAPI, FE57, HELM, V3]: Bearer, cookie
    token = flask.request.cookies.get(TOKEN_COOKIE)
    authorization = flask.request.authorization
    if authorization and authorization.type == "bearer":
        token = authorization.token
    # product-facts 2.1 [S:CLIENT, SDK, FE57]: Basic; in recent releases [UNKNOWN], so the dialect's
    if authorization and authorization.type == "basic" and backend().dialect.basic_auth:
        username = authorization.username or ""
        valid = log_in(username, authorization.password or "")
        return accounts.find(backend().databases, username) if valid else None
    named = secrets.token_username(token, backend().config.jwt_secret) if token else None
    return accounts.find(backend().databases, named) if named else None


def log_in(username: str, password: str) -> bool:
    """True when the login is accepted; ends the request when the account is locked."""
    # product-facts 2.1 [S:PUBAPI]
    if backend().throttle.locked(username):
        flask.abort(flask.Response(TOO_MANY_REQUESTS, 429, mimetype="text/plain"))
    if accounts.password_is(backend().databases, username, password):
        return True
    backend().throttle.failed(username)
    _log.warning("login failed", extra={"user_id": username})
    return False


Route = Callable[..., flask.Response]


def needs(*roles: str) -> Callable[[Route], Route]:
    """Let a route answer only to logged-in users, of one of ``roles`` when any is given."""
    # product-facts 2.1 [S:PUBAPI, FE57, FAQ]; the 403 is [INF]

    def decorate(route: Route) -> Route:
        @functools.wraps(route)
        def guarded(*args: Any, **kwargs: Any) -> flask.Response:
            user = current_user()
            if user is None:
                return refusal(401, "Unauthorized")
            if roles and not set(roles) & set(user["roles"]):
                return refusal(403, "Forbidden")
            flask.g.user = user
            return route(*args, **kwargs)

        return guarded

    return decorate


def json_object() -> dict[str, Any]:
    """The body of the request; ends the request with 400 when it is no JSON object."""
    body = flask.request.get_json(silent=True)
    if not isinstance(body, dict):
        flask.abort(refusal(400, "Bad Request", details="the body is not a JSON object"))
    return body


def stage() -> str:
    """The stage the request asks for; ends the request with 400 when there is no such stage."""
    # product-facts 2.3 [S:FE57, CLIENT, SDK]; the default is [GUESS]
    name = flask.request.args.get("stage", "production")
    if name not in STAGES:
        flask.abort(refusal(400, "Bad Request", details=f"stage is none of {', '.join(STAGES)}"))
    return name


def known_small_app(small_app: str) -> dict[str, Any]:
    """``{id, name}`` of the small app of the path; ends the request with 404."""
    found = backend().small_apps.find(small_app)
    if found is None:
        flask.abort(refusal(404, "Not Found", details=f"there is no small app {small_app}"))
    return found


# product-facts 1.5 [S:FE57, FAQ]; what a sick backend's HTTP status is, is the dialect's [GUESS]
@api.get("/")
def about() -> flask.Response:
    """Health and version."""
    release = backend().release
    healthy = release.behaviour != "never_healthy" and backend().databases.reachable()
    return answer(
        {"status": "OK" if healthy else "KO", "version": release.version},
        200 if healthy else backend().dialect.unhealthy_http_status,
    )


# product-facts 2.1 [S:PUBAPI, FE57, HELM, V3]
@api.post("/login")
def login() -> flask.Response:
    """Exchange username and password for a token."""
    body = json_object()
    username, password = str(body.get("username", "")), str(body.get("password", ""))
    if not log_in(username, password):
        return flask.Response(LOGIN_FAILED, 401, mimetype="text/plain")
    config = backend().config
    token = secrets.issue_token(username, config.jwt_secret, config.token_validity)
    response = answer({"token": token})
    if config.flag("TOUCAN_USE_JWT_COOKIES"):
        response.set_cookie(TOKEN_COOKIE, token, max_age=int(config.token_validity), httponly=True)
    return response


# product-facts 2.1 [S:FE57]
@api.get("/auth/check")
@needs()
def auth_check() -> flask.Response:
    """The user who asks."""
    return answer(flask.g.user)


# product-facts 2.2 [S:FE57, FAQ]
@api.get("/auth/providers")
def auth_providers() -> flask.Response:
    """The login providers, for everyone."""
    return answer(listed_providers(stored_settings()))


# product-facts 2.2 [S:FE57]
@api.get("/instance_settings")
@needs("SUPER_ADMIN")
def get_instance_settings() -> flask.Response:
    """``{settings}``."""
    return answer({"settings": stored_settings()})


# product-facts 2.2 [S:FE57]: the body is the settings object itself; errors have message, details
@api.put("/instance_settings")
@needs("SUPER_ADMIN")
def put_instance_settings() -> flask.Response:
    """Replace the settings."""
    settings = json_object()
    problems = settings_problems(settings)
    if problems:
        return answer({"message": "Invalid instance settings", "details": problems}, 400)
    backend().databases.instance["settings"].replace_one({"_id": "instance"}, {"_id": "instance", "settings": settings}, upsert=True)
    return answer({"settings": settings})


def stored_settings() -> dict[str, Any]:
    """The settings object; the first migration made it."""
    document = backend().databases.instance["settings"].find_one({"_id": "instance"})
    return document["settings"]


# product-facts 2.2 [S:FE57]
@api.get("/small-apps")
@needs()
def get_small_apps() -> flask.Response:
    """The small apps the user may see."""
    apps = backend().small_apps.all()
    if not set(ADMINS) & set(flask.g.user["roles"]):
        # product-facts 4 [S:DOCACC, FAQ]: without privileges a user sees an empty store
        apps = [app for app in apps if flask.g.user["privileges"].get(app["id"])]
    return answer(apps)


# product-facts 2.2 [S:FE57]
@api.post("/small-apps")
@needs(*ADMINS)
def post_small_app() -> flask.Response:
    """Create a small app."""
    try:
        return answer(backend().small_apps.create(json_object()))
    except SmallAppError as error:
        return refusal(400, "Bad Request", details=str(error))


# product-facts 2.2 [S:FE57]
@api.delete("/small-apps/<small_app>")
@needs(*ADMINS)
def delete_small_app(small_app: str) -> flask.Response:
    """Remove a small app."""
    known_small_app(small_app)
    backend().small_apps.delete(small_app)
    return flask.Response(status=204)


# product-facts 2.2 [S:FE57]
@api.get("/<small_app>/name")
@needs()
def get_name(small_app: str) -> flask.Response:
    """The display name of a small app."""
    return answer({"name": known_small_app(small_app)["name"]})


# product-facts 2.2 [S:FE57]
@api.put("/<small_app>/name")
@needs(*ADMINS)
def put_name(small_app: str) -> flask.Response:
    """Change the display name of a small app."""
    known_small_app(small_app)
    name = json_object().get("name")
    if not isinstance(name, str) or not name:
        return refusal(400, "Bad Request", details="name is not a text")
    backend().small_apps.rename(small_app, name)
    return answer({"name": name})


# product-facts 2.3 [S:FE57, CLIENT, SDK]
@api.get("/<small_app>/config/etl")
@needs(*ADMINS)
def get_etl(small_app: str) -> flask.Response:
    """The ETL configuration of a stage."""
    known_small_app(small_app)
    return answer(backend().small_apps.read_etl(small_app, stage()))


# product-facts 2.3 [S:FE57, CLIENT, SDK]
@api.put("/<small_app>/config/etl")
@needs(*ADMINS)
def put_etl(small_app: str) -> flask.Response:
    """Replace the ETL configuration of a stage."""
    known_small_app(small_app)
    config = json_object()
    backend().small_apps.write_etl(small_app, stage(), config)
    return answer(config)


# product-facts 2.3 [S:FE57]
@api.get("/<small_app>/data/sources")
@needs(*ADMINS)
def get_sources(small_app: str) -> flask.Response:
    """The uploaded files of a small app."""
    known_small_app(small_app)
    return answer(backend().small_apps.list_sources(small_app))


# product-facts 2.3 [S:FE57]; the name of the multipart field is [GUESS], so any is taken
@api.post("/<small_app>/data/sources")
@needs(*ADMINS)
def post_source(small_app: str) -> flask.Response:
    """Keep an uploaded file in the storage of a small app."""
    known_small_app(small_app)
    upload = next(iter(flask.request.files.values()), None)
    name = secure_filename(upload.filename or "") if upload else ""
    if upload is None or not name:
        return refusal(400, "Bad Request", details="the body holds no named file")
    return answer(backend().small_apps.store_source(small_app, name, upload.stream))


# product-facts 2.2 [S:FE57, LAPDOC]
@api.get("/users")
@needs(*ADMINS)
def get_users() -> flask.Response:
    """All users."""
    return answer(accounts.list_users(backend().databases))


# product-facts 2.2 [S:FE57, LAPDOC]: JSON for one user
@api.post("/users")
@needs(*ADMINS)
def post_user() -> flask.Response:
    """Create a user."""
    try:
        fields = accounts.checked_fields(json_object())
        if "SUPER_ADMIN" in fields["roles"] and "SUPER_ADMIN" not in flask.g.user["roles"]:
            return refusal(403, "Forbidden")
        return answer(accounts.create(backend().databases, fields))
    except accounts.UserError as error:
        return refusal(400, "Bad Request", details=str(error))


# product-facts 2.2 [S:FE57]; the shape of an item is [GUESS]
@api.get("/connectors/all")
@needs()
def get_connectors() -> flask.Response:
    """The connectors of this image."""
    return answer(list(CONNECTORS))
